using Cnvm.Linux;

namespace Cnvm.Sandbox.Machine;

/// <summary>Random bytes of the kernel's; the framework's generator would load OpenSSL, 4 MiB for a process that has no other use for it.</summary>
internal static class KernelRandom
{
    /// <param name="count">At most 256, so that the kernel gives all at once (getrandom(2)).</param>
    /// <exception cref="LinuxException">The kernel has none.</exception>
    public static byte[] Bytes(int count)
    {
        byte[] bytes = new byte[count];
        using var source = new EntropySource("/dev/urandom");
        nint read = source.Read(bytes);
        return read == count ? bytes : throw new LinuxException("getrandom", read < 0 ? (int)-read : Errno.EIO);
    }
}
