"""The runtime: devices, bytes and machine code. It knows nothing of mathematics.

=================  ==============================================================================
``native``         LLVM IR text to object code to callable addresses; the host processor
``cache``          bounded caches of programs, in memory and on disk
``allocator``      the caching allocator
``buffer``         `Buffer`: owned or borrowed bytes
``interrupt``      Ctrl-C seen by native code
``pool``           the native fork–join thread pool; ``pool_ir`` is its code
``executable``     `NativeProgram`: a library with an entry, its arena and its arguments
``call_path``      `CallPath`: the short way from Python to native code; ``call_path_ir`` its code
=================  ==============================================================================
"""
