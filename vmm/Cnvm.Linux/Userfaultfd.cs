using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// A userfaultfd(2): whoever touches a missing page of a registered range sleeps, in user space as in the kernel, until the page is given.
/// Pages may be given from any thread; faults are read by one.
/// </summary>
[Abi("sys/ioctl.h linux/userfaultfd.h")]
public sealed unsafe partial class Userfaultfd : IDisposable
{
    private const ulong UFFD_API = 0xaa;
    private const uint UFFDIO_API = 0xc018aa3f;
    private const uint UFFDIO_REGISTER = 0xc020aa00;
    private const uint UFFDIO_UNREGISTER = 0x8010aa01;
    private const uint UFFDIO_WAKE = 0x8010aa02;
    private const uint UFFDIO_COPY = 0xc028aa03;
    private const uint UFFDIO_ZEROPAGE = 0xc020aa04;
    private const uint USERFAULTFD_IOC_NEW = 0xaa00;
    private const ulong UFFDIO_REGISTER_MODE_MISSING = 1;
    private const byte UFFD_EVENT_PAGEFAULT = 0x12;

    private const long NrUserfaultfd = 323;
    private const string Device = "/dev/userfaultfd";
    private const ulong PageBytes = 4096;

    private readonly FileDescriptor _fd;

    /// <exception cref="LinuxException">The host does not permit it; see <see cref="WhyNot"/>.</exception>
    public Userfaultfd()
    {
        _fd = Open();
        try
        {
            var api = new uffdio_api { api = UFFD_API };

            // SAFETY: the kernel reads and writes a local.
            LinuxError.Check(Libc.ioctl(_fd.Value, UFFDIO_API, &api), "UFFDIO_API");
        }
        catch
        {
            _fd.Dispose();
            throw;
        }
    }

    /// <summary>The raw descriptor, for poll: readable while a fault waits.</summary>
    public int Fd => _fd.Value;

    /// <summary>Why this process cannot have one that stops the kernel's accesses too, and what would allow it; null if it can.</summary>
    public static string? WhyNot()
    {
        try
        {
            using var probe = new Userfaultfd();
            return null;
        }
        catch (LinuxException e)
        {
            return e.Errno is Errno.EPERM or Errno.EACCES or Errno.ENOENT
                ? $"userfaultfd is not permitted to this user: give it {Device} (chown, or an ACL; Linux 6.1 and later), run as root, or set the sysctl "
                + "vm.unprivileged_userfaultfd to 1"
                : $"this kernel has no userfaultfd ({e.Message})";
        }
    }

    /// <summary>Whoever touches a missing page in the range sleeps from now on.</summary>
    /// <param name="address">Of private anonymous memory; page aligned.</param>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Register(nint address, ulong length)
    {
        var register = new uffdio_register
        {
            range = new uffdio_range { start = (ulong)address, len = length },
            mode = UFFDIO_REGISTER_MODE_MISSING,
        };

        // SAFETY: the kernel reads and writes a local.
        LinuxError.Check(Libc.ioctl(_fd.Value, UFFDIO_REGISTER, &register), "UFFDIO_REGISTER");
    }

    /// <summary>Ends it; who sleeps goes on, and finds zeros.</summary>
    public void Unregister(nint address, ulong length)
    {
        var range = new uffdio_range { start = (ulong)address, len = length };

        // SAFETY: the kernel reads a local.
        LinuxError.Check(Libc.ioctl(_fd.Value, UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
    }

    /// <summary>Puts pages in their places and wakes who waits for them. A page that is there already stays as it is.</summary>
    /// <param name="data">Whole pages.</param>
    /// <exception cref="LinuxException">The host has no memory, or the range is not registered. What has not come is still missing, and can be given again.</exception>
    public void Copy(nint address, ReadOnlySpan<byte> data)
    {
        var fill = new PageFill("UFFDIO_COPY", (ulong)data.Length);
        fixed (byte* from = data)
        {
            while (!fill.IsDone)
            {
                var copy = new uffdio_copy { dst = (ulong)address + fill.Done, src = (ulong)(from + fill.Done), len = fill.Left };

                // SAFETY: the kernel reads the pinned pages, and writes missing pages of a registered range and a local.
                int result = Libc.ioctl(_fd.Value, UFFDIO_COPY, &copy);
                Take(ref fill, result, copy.copy, address);
            }
        }
    }

    /// <summary>As <see cref="Copy"/>, with zeros.</summary>
    /// <inheritdoc cref="Copy"/>
    public void Zero(nint address, ulong length)
    {
        var fill = new PageFill("UFFDIO_ZEROPAGE", length);
        while (!fill.IsDone)
        {
            var zero = new uffdio_zeropage { range = new uffdio_range { start = (ulong)address + fill.Done, len = fill.Left } };

            // SAFETY: the kernel changes missing pages of a registered range and a local.
            int result = Libc.ioctl(_fd.Value, UFFDIO_ZEROPAGE, &zero);
            Take(ref fill, result, zero.zeropage, address);
        }
    }

    /// <summary>Has who sleeps at a page look again, and sleep again if it is still missing: a fault of its own follows.</summary>
    public void Wake(nint address)
    {
        var range = new uffdio_range { start = (ulong)address, len = PageBytes };

        // SAFETY: the kernel reads a local. It refuses ranges that are not registered, where nobody sleeps.
        _ = Libc.ioctl(_fd.Value, UFFDIO_WAKE, &range);
    }

    /// <summary>Takes the next fault; false if none waits.</summary>
    /// <param name="address">That was touched.</param>
    public bool TryRead(out nint address)
    {
        uffd_msg message;
        while (true)
        {
            // SAFETY: the kernel writes one message into a local.
            nint count = Libc.read(_fd.Value, &message, (nuint)sizeof(uffd_msg));
            if (count == sizeof(uffd_msg) && message.kind == UFFD_EVENT_PAGEFAULT)
            {
                address = (nint)message.address;
                return true;
            }

            if (count < 0 && LinuxError.Last != Errno.EINTR)
            {
                if (LinuxError.Last != Errno.EAGAIN)
                {
                    LinuxError.Throw("read from a userfaultfd");
                }

                address = 0;
                return false;
            }
        }
    }

    public void Dispose() => _fd.Dispose();

    private static FileDescriptor Open()
    {
        nint fd = (nint)syscall(NrUserfaultfd, Libc.O_CLOEXEC | Libc.O_NONBLOCK, 0);
        if (fd >= 0)
        {
            return new FileDescriptor((int)fd);
        }

        if (LinuxError.Last != Errno.EPERM)
        {
            LinuxError.Throw("userfaultfd");
        }

        // Whoever may open the device may stop the kernel's accesses (Documentation/admin-guide/mm/userfaultfd.rst).
        using var device = new FileDescriptor(LinuxError.Check(Libc.open(Device, Libc.O_RDWR | Libc.O_CLOEXEC), $"open {Device}"));
        return new FileDescriptor(LinuxError.Check(
            Libc.ioctl(device.Value, USERFAULTFD_IOC_NEW, (nint)(Libc.O_CLOEXEC | Libc.O_NONBLOCK)), "USERFAULTFD_IOC_NEW"));
    }

    private void Take(ref PageFill fill, int result, long filled, nint address)
    {
        if (fill.Take(result == 0 ? 0 : LinuxError.Last, filled))
        {
            // It has been given by somebody else; who sleeps must not miss that.
            Wake(address + (nint)(fill.Done - PageBytes));
        }
    }

    // syscall is variadic in C; on x86-64 a variadic call passes integers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    private static partial long syscall(long number, long first, long second);
}
