"""The runtime: devices, bytes and machine code. It knows nothing of mathematics.

=================  ==============================================================================
``native``         LLVM IR text to object code to callable addresses; the host processor
``cache``          bounded caches of programs, in memory and on disk
``allocator``      the caching allocator
``buffer``         `Buffer`: owned or borrowed bytes
``pool``           the native fork–join thread pool
``interrupt``      Ctrl-C seen by native code
``executable``     `NativeProgram`: a library with an entry, its arena and its arguments
``call_path``      `CallPath`: the short way from a Python call to native code
=================  ==============================================================================
"""
