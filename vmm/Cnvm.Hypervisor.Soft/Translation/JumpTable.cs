using System.Runtime.CompilerServices;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>Shape of the direct-mapped table from block keys to blocks.</summary>
internal static class JumpTable
{
    public const int Size = 32768;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Hash(ulong key) => (uint)((key >> 1) ^ (key >> 14)) & (Size - 1);
}
