using System.Runtime.CompilerServices;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>ioctls on KVM descriptors; failures become <see cref="HypervisorException"/>s that name the request.</summary>
internal static unsafe class KvmIoctl
{
    /// <summary>Issues a request with an integer argument; retries while a signal interrupts it.</summary>
    public static int Call(int fd, uint request, nint argument = 0, [CallerArgumentExpression(nameof(request))] string name = "")
    {
        int result;
        do
        {
            result = Libc.ioctl(fd, request, argument);
        }
        while (result < 0 && LinuxError.Last == Errno.EINTR);

        return result >= 0 ? result : throw Refused(name, LinuxError.Last);
    }

    /// <summary>Issues a request whose argument is a struct that the kernel reads, writes or both.</summary>
    public static int Call<T>(int fd, uint request, ref T argument, [CallerArgumentExpression(nameof(request))] string name = "")
        where T : unmanaged
    {
        // SAFETY: the struct mirrors what the request carries (checked against the kernel headers), and stays pinned meanwhile.
        fixed (T* p = &argument)
        {
            return Call(fd, request, (nint)p, name);
        }
    }

    public static HypervisorException Refused(string name, int errno)
    {
        var cause = new LinuxException(name[(name.LastIndexOf('.') + 1)..], errno);
        return new HypervisorException($"KVM refused {cause.Message}", cause);
    }
}
