namespace Cnvm.Arch.Acpi.Aml;

/// <summary>Width of the accesses that a field makes (ACPI 6.5, 19.6.48).</summary>
public enum AmlFieldAccess : byte
{
    /// <summary>Whatever fits.</summary>
    Any = 0,

    /// <summary>One byte at a time.</summary>
    Byte = 1,

    /// <summary>Two bytes at a time.</summary>
    Word = 2,

    /// <summary>Four bytes at a time.</summary>
    Dword = 3,

    /// <summary>Eight bytes at a time.</summary>
    Qword = 4,
}
