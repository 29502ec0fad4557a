"""scikit-learn on arrays of Weft, as `array_api_dispatch=True` lets it take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft.numpy as wnp
from tests.ecosystem.agreement import assert_same, samples

sklearn = pytest.importorskip("sklearn", reason="the extra `ecosystem` brings scikit-learn")

from sklearn import (  # noqa: E402
    calibration,
    cluster,
    decomposition,
    discriminant_analysis,
    ensemble,
    kernel_approximation,
    linear_model,
    metrics,
    model_selection,
    naive_bayes,
    neighbors,
    pipeline,
    preprocessing,
    svm,
)

X = samples(60, 4)
CLASSES = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
GUESSES = np.where(samples(60, seed=3) < -0.9, 1 - CLASSES, CLASSES)
TARGET = X @ np.array([1.0, 2.0, -1.0, 0.5]) + 0.1 * samples(60, seed=4)
SCORES = abs(np.sin(X[:, 0]))


@pytest.fixture(autouse=True)
def dispatch() -> Iterator[None]:
    with sklearn.config_context(array_api_dispatch=True):
        yield


TRANSFORMERS = {
    "scaler": lambda: preprocessing.StandardScaler(),
    "minmax": lambda: preprocessing.MinMaxScaler(),
    "maxabs": lambda: preprocessing.MaxAbsScaler(),
    "normalizer": lambda: preprocessing.Normalizer(),
    "binarizer": lambda: preprocessing.Binarizer(),
    "polynomials": lambda: preprocessing.PolynomialFeatures(),
    "pca": lambda: decomposition.PCA(2, svd_solver="full"),
    "pca of covariances": lambda: decomposition.PCA(2, svd_solver="covariance_eigh"),
    "pca, randomized": lambda: decomposition.PCA(
        2, svd_solver="randomized", random_state=0, power_iteration_normalizer="QR"
    ),
    "nystroem": lambda: kernel_approximation.Nystroem(n_components=5, random_state=0),
    "pipeline": lambda: pipeline.make_pipeline(
        preprocessing.StandardScaler(), decomposition.PCA(2, svd_solver="full")
    ),
}
#: Estimators, and what they learn.
PREDICTORS = {
    "ridge": (lambda: linear_model.Ridge(solver="svd"), TARGET),
    "ridge, cross-validated": (lambda: linear_model.RidgeCV(), TARGET),
    "ridge classifier": (lambda: linear_model.RidgeClassifier(solver="svd"), CLASSES),
    "logistic": (lambda: linear_model.LogisticRegression(), CLASSES),
    "discriminant": (lambda: discriminant_analysis.LinearDiscriminantAnalysis(), CLASSES),
    "bayes": (lambda: naive_bayes.GaussianNB(), CLASSES),
    "grid search": (
        lambda: model_selection.GridSearchCV(
            linear_model.Ridge(solver="svd"), {"alpha": [0.1, 1.0]}, cv=3
        ),
        TARGET,
    ),
    "calibrated": (
        lambda: calibration.CalibratedClassifierCV(
            discriminant_analysis.LinearDiscriminantAnalysis(), method="temperature", cv=3
        ),
        CLASSES,
    ),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers(name: str) -> None:
    make = TRANSFORMERS[name]
    assert_same(lambda x: make().fit(x).transform(x), X, rtol=1e-7, absolute="pca" in name)


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictors(name: str) -> None:
    make, target = PREDICTORS[name]
    assert_same(lambda x, y: make().fit(x, y).predict(x), X, target, rtol=1e-7)


@pytest.mark.parametrize("name", ["discriminant", "bayes", "logistic", "calibrated"])
def test_probabilities(name: str) -> None:
    make, target = PREDICTORS[name]
    assert_same(lambda x, y: make().fit(x, y).predict_proba(x), X, target, rtol=1e-5)


CLASSIFICATION = """accuracy_score balanced_accuracy_score confusion_matrix f1_score precision_score
    recall_score jaccard_score zero_one_loss hamming_loss multilabel_confusion_matrix
    cohen_kappa_score matthews_corrcoef"""
REGRESSION = """mean_squared_error mean_absolute_error r2_score max_error explained_variance_score
    median_absolute_error root_mean_squared_error mean_pinball_loss d2_absolute_error_score
    mean_squared_log_error mean_tweedie_deviance d2_tweedie_score mean_gamma_deviance
    mean_absolute_percentage_error mean_poisson_deviance"""
RANKING = """log_loss brier_score_loss roc_auc_score average_precision_score roc_curve
    precision_recall_curve det_curve"""
PAIRWISE = """euclidean_distances cosine_similarity rbf_kernel polynomial_kernel linear_kernel
    chi2_kernel laplacian_kernel sigmoid_kernel manhattan_distances cosine_distances
    paired_euclidean_distances paired_cosine_distances"""


@pytest.mark.parametrize("name", CLASSIFICATION.split())
def test_metrics_of_classes(name: str) -> None:
    # Means of true and false are float32 here, where they have the dtype of no operand.
    assert_same(getattr(metrics, name), CLASSES, GUESSES, rtol=1e-6)


@pytest.mark.parametrize("name", REGRESSION.split())
def test_metrics_of_numbers(name: str) -> None:
    assert_same(getattr(metrics, name), abs(TARGET) + 0.1, abs(TARGET + 0.2) + 0.1)


@pytest.mark.parametrize("name", RANKING.split())
def test_metrics_of_scores(name: str) -> None:
    assert_same(getattr(metrics, name), CLASSES, SCORES)


@pytest.mark.parametrize("name", PAIRWISE.split())
def test_distances_and_kernels(name: str) -> None:
    assert_same(getattr(metrics.pairwise, name), abs(X), abs(X[::-1]) + 0.1, rtol=1e-6)


def test_splitting_and_encoding() -> None:
    assert_same(lambda x, y: model_selection.train_test_split(x, y, random_state=0), X, CLASSES)
    assert_same(
        lambda x, y: model_selection.cross_val_predict(
            linear_model.Ridge(solver="svd"), x, y, cv=3
        ),
        X,
        TARGET,
        rtol=1e-7,
    )
    assert_same(lambda y: preprocessing.LabelEncoder().fit_transform(y * 5), CLASSES)
    assert_same(lambda y: preprocessing.LabelBinarizer().fit_transform(y * 5), CLASSES)


#: These have code in Cython that reads memory of NumPy's: without dispatch they take any array.
OF_MEMORY: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "k-means": (lambda: cluster.KMeans(3, n_init=1, random_state=0), CLASSES),
    "neighbours": (lambda: neighbors.KNeighborsClassifier(3), CLASSES),
    "forest": (lambda: ensemble.RandomForestClassifier(5, random_state=0), CLASSES),
    "support vectors": (lambda: svm.SVC(), CLASSES),
    "lasso": (lambda: linear_model.Lasso(0.1), TARGET),
    "linear": (lambda: linear_model.LinearRegression(), TARGET),
}


@pytest.mark.parametrize("name", OF_MEMORY)
def test_other_estimators_read_arrays(name: str) -> None:
    make, target = OF_MEMORY[name]
    with sklearn.config_context(array_api_dispatch=False):
        wanted = make().fit(X, target).predict(X)
        found = make().fit(wnp.asarray(X), wnp.asarray(target)).predict(wnp.asarray(X))
    np.testing.assert_allclose(found, wanted)
