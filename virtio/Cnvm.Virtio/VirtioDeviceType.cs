namespace Cnvm.Virtio;

/// <summary>Device ids (virtio 1.2 §5).</summary>
public enum VirtioDeviceType : ushort
{
    Net = 1,
    Block = 2,
    Console = 3,
    Entropy = 4,
    Balloon = 5,
    Socket = 19,
    FileSystem = 26,
    Watchdog = 35,
}
