using System.Runtime.InteropServices;
using System.Text;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>An IP address as the C library reads and writes it (inet_pton(3)), for programs that the framework's own would make larger.</summary>
[Abi("arpa/inet.h sys/socket.h netinet/in.h")]
public sealed unsafe partial class InternetAddress
{
    public const byte AF_INET = 2;
    public const byte AF_INET6 = 10;

    private const int INET6_ADDRSTRLEN = 46;
    private const int Bytes4 = 4;
    private const int Bytes6 = 16;
    private readonly byte[] _bytes;

    /// <param name="bytes">4 or 16, in the network's order.</param>
    /// <exception cref="ArgumentException">Another number of bytes.</exception>
    public InternetAddress(ReadOnlySpan<byte> bytes) => _bytes = bytes.Length is Bytes4 or Bytes6
        ? bytes.ToArray()
        : throw new ArgumentException($"{bytes.Length} bytes are no IP address", nameof(bytes));

    /// <summary>In the network's order.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    public bool IsVersion6 => _bytes.Length == Bytes6;

    /// <summary>AF_INET or AF_INET6.</summary>
    public byte Family => IsVersion6 ? AF_INET6 : AF_INET;

    /// <summary>fe80::/10, which the kernel gives by itself.</summary>
    public bool IsVersion6LinkLocal => IsVersion6 && _bytes[0] == 0xfe && (_bytes[1] & 0xc0) == 0x80;

    /// <returns>Null if the text is no address.</returns>
    public static InternetAddress? TryParse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        byte* bytes = stackalloc byte[Bytes6];
        bool isVersion6 = text.Contains(':', StringComparison.Ordinal);
        // SAFETY: the C library writes 4 or 16 bytes, as the family says; the text ends with null.
        return inet_pton(isVersion6 ? AF_INET6 : AF_INET, text, bytes) == 1
            ? new InternetAddress(new ReadOnlySpan<byte>(bytes, isVersion6 ? Bytes6 : Bytes4))
            : null;
    }

    public bool IsSame(InternetAddress other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Bytes.SequenceEqual(other.Bytes);
    }

    public override string ToString()
    {
        byte* text = stackalloc byte[INET6_ADDRSTRLEN];
        fixed (byte* bytes = _bytes)
        {
            // SAFETY: the C library reads as many bytes as the family has, and writes a text that ends with null into a local that is long enough for each.
            return inet_ntop(Family, bytes, text, INET6_ADDRSTRLEN) == null
                ? throw new LinuxException("inet_ntop", LinuxError.Last)
                : Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int inet_pton(int family, string text, byte* bytes);

    [LibraryImport("libc", SetLastError = true)]
    private static partial byte* inet_ntop(int family, byte* bytes, byte* text, uint length);
}
