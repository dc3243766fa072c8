namespace Cnvm.Arch;

/// <summary>Guest-physical RAM as boot loaders and firmware tables see it: a bounds-checked window.</summary>
public interface IPhysicalMemory
{
    /// <summary>The bytes at <paramref name="gpa"/>; they stay valid while the machine lives.</summary>
    /// <exception cref="GuestAddressException">The range is not wholly inside one RAM region.</exception>
    Span<byte> GetSpan(ulong gpa, int length);
}
