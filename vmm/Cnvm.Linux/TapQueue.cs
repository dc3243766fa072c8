using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// One queue of a TAP interface (linux/if_tun.h): Ethernet frames behind a virtio-net header. Non-blocking. One thread reads
/// and writes; the settings may be changed on any.
/// </summary>
[Abi("fcntl.h sys/ioctl.h linux/sockios.h linux/if.h linux/if_tun.h")]
public sealed unsafe partial class TapQueue : IDisposable
{
    private const int O_RDWR = 2;
    private const int O_NONBLOCK = 0x800;
    private const int O_CLOEXEC = 0x80000;
    private const int F_GETFL = 3;
    private const int F_SETFL = 4;
    private const short IFF_TAP = 0x0002;
    private const short IFF_MULTI_QUEUE = 0x0100;
    private const short IFF_ATTACH_QUEUE = 0x0200;
    private const short IFF_DETACH_QUEUE = 0x0400;
    private const short IFF_NO_PI = 0x1000;
    private const short IFF_VNET_HDR = 0x4000;
    private const nuint TUNSETIFF = 0x400454ca;
    private const nuint TUNSETOFFLOAD = 0x400454d0;
    private const nuint TUNGETIFF = 0x800454d2;
    private const nuint TUNSETVNETHDRSZ = 0x400454d8;
    private const nuint TUNSETQUEUE = 0x400454d9;
    private const nuint SIOCGIFHWADDR = 0x8927;

    private readonly FileDescriptor _fd;

    private TapQueue(FileDescriptor fd, string name, bool multiQueue)
    {
        _fd = fd;
        Name = name;
        IsMultiQueue = multiQueue;
    }

    /// <summary>The interface's name.</summary>
    public string Name { get; }

    /// <summary>True when the interface was made for several queues.</summary>
    public bool IsMultiQueue { get; }

    /// <summary>The raw descriptor, for epoll; valid until this object is disposed.</summary>
    public int Fd => _fd.Value;

    /// <summary>Attaches to a TAP interface, which is made if it does not exist and then goes away with its last queue.</summary>
    /// <param name="name">Interface name; a name with %d, or an empty one, lets the kernel choose.</param>
    /// <exception cref="LinuxException">No permission, the name exists in another mode, or another process holds it.</exception>
    public static TapQueue Open(string name, bool multiQueue)
    {
        FileDescriptor fd = new(LinuxError.Check(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC, 0), "open /dev/net/tun"));
        try
        {
            IfReq r = new(name) { Flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0)) };
            // SAFETY: struct ifreq is what this request takes and fills.
            LinuxError.Check(ioctl(fd.Value, TUNSETIFF, (nint)(&r)), $"attach to TAP interface {name}");
            return new TapQueue(fd, r.Name, multiQueue);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>The character device of a macvtap or ipvtap interface.</summary>
    public static string NodeOf(NetInterface host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return $"/dev/tap{host.Index}";
    }

    /// <summary>Opens one more queue of a macvtap or ipvtap interface at its character device.</summary>
    /// <param name="host">The interface; of the caller's network namespace.</param>
    /// <param name="multiQueue">It has several queues, which are told so.</param>
    /// <exception cref="LinuxException">There is no such device, or no permission.</exception>
    /// <exception cref="ArgumentException">The device is an interface's of another network namespace: numbers are given out in each.</exception>
    public static TapQueue OpenNode(NetInterface host, bool multiQueue)
    {
        ArgumentNullException.ThrowIfNull(host);
        string node = NodeOf(host);
        FileDescriptor fd = new(LinuxError.Check(open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0), $"open {node} of {host.Name}"));
        try
        {
            IfReq owner = default;
            // SAFETY: struct ifreq is what this request fills.
            LinuxError.Check(ioctl(fd.Value, SIOCGIFHWADDR, (nint)(&owner)), $"{node} as a macvtap interface");
            if (owner.Name != host.Name || !owner.GetHardwareAddress().Equals(host.HardwareAddress))
            {
                throw new ArgumentException(
                    $"{node} is not {host.Name}, but an interface {owner.Name} of another network namespace with the same number", nameof(host));
            }

            IfReq r = new(host.Name) { Flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0)) };
            // SAFETY: struct ifreq is what this request takes.
            LinuxError.Check(ioctl(fd.Value, TUNSETIFF, (nint)(&r)), $"set up a queue of {host.Name}");
            return new TapQueue(fd, host.Name, multiQueue);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Takes ownership of a descriptor that is attached to a TAP interface already.</summary>
    /// <exception cref="LinuxException">It is not a TAP descriptor.</exception>
    /// <exception cref="ArgumentException">The interface has no virtio-net header, or carries packet information.</exception>
    public static TapQueue FromDescriptor(int descriptor)
    {
        FileDescriptor fd = new(descriptor);
        try
        {
            IfReq r = default;
            // SAFETY: struct ifreq is what this request fills.
            LinuxError.Check(ioctl(fd.Value, TUNGETIFF, (nint)(&r)), $"descriptor {descriptor} as a TAP interface");
            if ((r.Flags & IFF_TAP) == 0 || (r.Flags & IFF_VNET_HDR) == 0 || (r.Flags & IFF_NO_PI) == 0)
            {
                throw new ArgumentException(
                    $"descriptor {descriptor} ({r.Name}) must be a TAP opened with IFF_NO_PI and IFF_VNET_HDR", nameof(descriptor));
            }

            int flags = LinuxError.Check(fcntl(fd.Value, F_GETFL, 0), "fcntl");
            LinuxError.Check(fcntl(fd.Value, F_SETFL, flags | O_NONBLOCK), "fcntl");
            return new TapQueue(fd, r.Name, (r.Flags & IFF_MULTI_QUEUE) != 0);
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Sets the size of the header before each frame, in bytes.</summary>
    public void SetHeaderSize(int bytes) =>
        // SAFETY: the kernel reads one int.
        LinuxError.Check(ioctl(_fd.Value, TUNSETVNETHDRSZ, (nint)(&bytes)), $"set the header size of {Name}");

    /// <summary>Says which unfinished packets this side can take. Returns false when the kernel does not know one of them.</summary>
    public bool TrySetOffloads(TapOffloads offloads) =>
        // SAFETY: the argument is a value.
        ioctl(_fd.Value, TUNSETOFFLOAD, (nint)(uint)offloads) >= 0;

    /// <summary>Attaches or detaches this queue: a detached one gets no packets. Only on multi-queue interfaces.</summary>
    /// <returns>False when the kernel refused, for example because it is in that state already.</returns>
    public bool TrySetAttached(bool attached)
    {
        IfReq r = new(Name) { Flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };
        // SAFETY: struct ifreq is what this request takes.
        return ioctl(_fd.Value, TUNSETQUEUE, (nint)(&r)) >= 0;
    }

    /// <summary>Reads one frame with its header. Returns bytes, or a negative error number (EAGAIN: none is waiting).</summary>
    public nint Read(IoVec* vectors, int count)
    {
        // SAFETY: the caller vouches for the vectors.
        nint n = readv(_fd.Value, vectors, count);
        return n < 0 ? -LinuxError.Last : n;
    }

    /// <summary>Writes one frame with its header. Returns bytes, or a negative error number.</summary>
    public nint Write(IoVec* vectors, int count)
    {
        // SAFETY: the caller vouches for the vectors.
        nint n = writev(_fd.Value, vectors, count);
        return n < 0 ? -LinuxError.Last : n;
    }

    public void Dispose() => _fd.Dispose();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int fd, int command, nint argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, nint argument);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint readv(int fd, IoVec* vectors, int count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint writev(int fd, IoVec* vectors, int count);
}
