namespace Cnvm.Shim;

/// <summary>The shim cannot do what it was called for; the message says what was wrong, where, and what to do.</summary>
internal sealed class ShimException(string message, Exception? inner = null) : Exception(message, inner);
