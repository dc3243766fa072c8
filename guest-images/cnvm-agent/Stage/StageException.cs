namespace Cnvm.GuestAgent.Stage;

/// <summary>A container cannot be made as its specification asks; the message is for whoever asked.</summary>
internal sealed class StageException(string message) : Exception(message);
