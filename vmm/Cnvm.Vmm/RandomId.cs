using Cnvm.Linux;

namespace Cnvm.Vmm;

/// <summary>16 bytes that nobody else has: names of snapshots, and of what goes on from them.</summary>
internal static class RandomId
{
    private const int Bytes = 16;

    /// <exception cref="LinuxException">The host has no random numbers.</exception>
    public static byte[] Make()
    {
        var id = new byte[Bytes];
        using var entropy = new EntropySource("/dev/urandom");
        nint read = entropy.Read(id);
        return read == Bytes ? id : throw new LinuxException("getrandom", (int)-read);
    }
}
