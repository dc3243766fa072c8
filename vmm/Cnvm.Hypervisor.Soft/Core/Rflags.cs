namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>Bits of RFLAGS (SDM vol. 1 §3.4.3).</summary>
internal static class Rflags
{
    public const ulong CF = 1;
    public const ulong Fixed = 2;
    public const ulong PF = 4;
    public const ulong AF = 0x10;
    public const ulong ZF = 0x40;
    public const ulong SF = 0x80;
    public const ulong TF = 0x100;
    public const ulong IF = 0x200;
    public const ulong DF = 0x400;
    public const ulong OF = 0x800;
    public const ulong IOPL = 0x3000;
    public const ulong NT = 0x4000;
    public const ulong RF = 0x1_0000;
    public const ulong VM = 0x2_0000;
    public const ulong AC = 0x4_0000;
    public const ulong VIF = 0x8_0000;
    public const ulong VIP = 0x10_0000;
    public const ulong ID = 0x20_0000;

    public const ulong Status = CF | PF | AF | ZF | SF | OF;
}
