"""Forms of numerical routines in Weft's own operations, for every device and for tiny matrices."""
