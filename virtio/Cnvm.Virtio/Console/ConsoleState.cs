namespace Cnvm.Virtio.Console;

/// <summary>What a console device remembers.</summary>
public sealed record ConsoleState : VirtioDeviceState
{
    /// <summary>Width in characters; 0 is unknown.</summary>
    public required ushort Columns { get; init; }

    /// <summary>Height in characters; 0 is unknown.</summary>
    public required ushort Rows { get; init; }

    /// <summary>Bytes of the next transmit buffer that have gone out already.</summary>
    public uint TransmittedBytes { get; init; }
}
