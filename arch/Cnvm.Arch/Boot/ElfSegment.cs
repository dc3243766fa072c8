using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Boot;

/// <summary>A PT_LOAD or PT_NOTE program header.</summary>
/// <param name="FileOffset">Where its bytes start in the file.</param>
/// <param name="FileSize">How many there are.</param>
/// <param name="Memory">Where it lies in guest memory; bytes beyond <paramref name="FileSize"/> are zero.</param>
/// <param name="Alignment">p_align.</param>
internal readonly record struct ElfSegment(long FileOffset, ulong FileSize, AddressRange Memory, ulong Alignment);
