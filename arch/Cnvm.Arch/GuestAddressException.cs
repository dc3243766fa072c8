namespace Cnvm.Arch;

/// <summary>A guest-physical range lies outside RAM.</summary>
public sealed class GuestAddressException : Exception
{
    public GuestAddressException(ulong gpa, ulong length)
        : base($"guest-physical range 0x{gpa:x}..0x{unchecked(gpa + length):x} ({length} bytes) is not guest RAM")
    {
        Gpa = gpa;
        Length = length;
    }

    /// <summary>First guest-physical address of the range.</summary>
    public ulong Gpa { get; }

    /// <summary>Length of the range in bytes.</summary>
    public ulong Length { get; }
}
