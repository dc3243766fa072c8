namespace Cnvm.Virtio.Vsock;

/// <summary>How far a connection has come.</summary>
internal enum VsockPhase
{
    /// <summary>A host program has connected and has not yet said which guest port it wants. The guest knows nothing of it.</summary>
    Greeting,

    /// <summary>The guest has been asked.</summary>
    Requested,

    /// <summary>Both sides agreed.</summary>
    Open,

    /// <summary>The guest has let go of it in good order; what it sent last is still on its way to the host program.</summary>
    Draining,

    /// <summary>Forgotten; it may still stand in a list.</summary>
    Closed,
}
