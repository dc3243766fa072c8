namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>Why a run of operations came back to the dispatcher.</summary>
internal static class Exit
{
    /// <summary>Find the block at RIP and go on.</summary>
    public const nint Lookup = 0;

    /// <summary><see cref="Cpu.ExitOp"/> is a direct branch whose target is not known yet.</summary>
    public const nint Chain = 1;

    /// <summary>An exception is described in the exception fields of <see cref="Cpu"/>.</summary>
    public const nint Exception = 2;

    /// <summary>HLT.</summary>
    public const nint Halt = 3;

    /// <summary>The machine shuts down (triple fault).</summary>
    public const nint Shutdown = 4;
}
