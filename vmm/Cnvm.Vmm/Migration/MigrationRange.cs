namespace Cnvm.Vmm.Migration;

/// <summary>One range of guest RAM.</summary>
/// <param name="Gpa">First guest-physical address.</param>
/// <param name="Size">Bytes; a multiple of 4096.</param>
/// <param name="Zone">Memory zone; empty for plain RAM.</param>
internal sealed record MigrationRange(ulong Gpa, ulong Size, string Zone);
