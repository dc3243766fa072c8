namespace Cnvm.Hypervisor.Soft.Platform;

/// <summary>Indices of model-specific registers (SDM vol. 4; APM vol. 2 appendix A; Documentation/virt/kvm/x86/msr.rst).</summary>
internal static class Msr
{
    public const uint Tsc = 0x10;
    public const uint ApicBase = 0x1b;
    public const uint TscDeadline = 0x6e0;
    public const uint SysenterCs = 0x174;
    public const uint SysenterEsp = 0x175;
    public const uint SysenterEip = 0x176;
    public const uint X2ApicFirst = 0x800;
    public const uint X2ApicLast = 0x8ff;
    public const uint Efer = 0xc000_0080;
    public const uint Star = 0xc000_0081;
    public const uint Lstar = 0xc000_0082;
    public const uint Cstar = 0xc000_0083;
    public const uint SyscallMask = 0xc000_0084;
    public const uint FsBase = 0xc000_0100;
    public const uint GsBase = 0xc000_0101;
    public const uint KernelGsBase = 0xc000_0102;
    public const uint TscAux = 0xc000_0103;
    public const uint KvmWallClockOld = 0x11;
    public const uint KvmSystemTimeOld = 0x12;
    public const uint KvmWallClock = 0x4b56_4d00;
    public const uint KvmSystemTime = 0x4b56_4d01;
}
