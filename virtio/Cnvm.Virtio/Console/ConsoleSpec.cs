namespace Cnvm.Virtio.Console;

/// <summary>Console device (virtio 1.2 §5.3) with one port.</summary>
internal static class ConsoleSpec
{
    /// <summary>VIRTIO_CONSOLE_F_SIZE.</summary>
    public const ulong Size = 1UL << 0;

    public const int ReceiveQueue = 0;
    public const int TransmitQueue = 1;
    public const ushort QueueSize = 256;

    // struct virtio_console_config.
    public const int ConfigBytes = 12;
    public const int ConfigColumns = 0;
    public const int ConfigRows = 2;
    public const int ConfigMaxPorts = 4;
}
