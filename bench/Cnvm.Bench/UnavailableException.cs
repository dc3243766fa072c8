namespace Cnvm.Bench;

/// <summary>A figure, or one side of it, cannot be taken on this host. The message is the reason that the table shows.</summary>
internal sealed class UnavailableException(string reason) : Exception(reason);
