namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>What a vCPU is to look at when it next reaches a block boundary.</summary>
internal static class AttentionBits
{
    public const int Kick = 1;
    public const int Interrupt = 2;
    public const int FlushWrites = 4;
    public const int Invalidate = 8;
    public const int Signal = 16;
    public const int FlushAll = 32;

    /// <summary>Nothing to do but to leave a repeated instruction between two elements.</summary>
    public const int Step = 64;
}
