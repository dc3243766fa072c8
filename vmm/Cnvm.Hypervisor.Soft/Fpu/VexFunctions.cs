using System.Runtime.Intrinsics;
using Iced.Intel;
using unsafe VectorFn = delegate*<System.Runtime.Intrinsics.Vector128<byte>*, System.Runtime.Intrinsics.Vector128<byte>*, int, void>;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>Lane-wise functions of instructions that exist in VEX form only, or that are moves in their legacy form.</summary>
internal static unsafe class VexFunctions
{
    /// <summary>The function of an instruction; null when it is not here.</summary>
    public static VectorFn Find(Mnemonic m) =>
        m switch
        {
            Mnemonic.Vmovss => &MoveLow4,
            Mnemonic.Vmovsd or Mnemonic.Vmovlps or Mnemonic.Vmovlpd => &MoveLow8,
            Mnemonic.Vmovhps or Mnemonic.Vmovhpd or Mnemonic.Vmovlhps => &MoveLowToHigh,
            Mnemonic.Vmovhlps => &MoveHighToLow,
            Mnemonic.Vpsadbw => PackedInteger.Find(Mnemonic.Psadbw),
            Mnemonic.Vpsllvd => &Vpsllvd,
            Mnemonic.Vpsllvq => &Vpsllvq,
            Mnemonic.Vpsrlvd => &Vpsrlvd,
            Mnemonic.Vpsrlvq => &Vpsrlvq,
            Mnemonic.Vpsravd => &Vpsravd,
            Mnemonic.Vpermilps => &Vpermilps,
            Mnemonic.Vpermilpd => &Vpermilpd,
            Mnemonic.Vpblendd => PackedImmediate.Find(Mnemonic.Blendps),
            _ => null,
        };

    /// <summary>The forms with an immediate.</summary>
    public static VectorFn FindImmediate(Mnemonic m) =>
        m switch
        {
            Mnemonic.Vpermilps => PackedImmediate.Find(Mnemonic.Pshufd),
            Mnemonic.Vpermilpd => &VpermilpdImmediate,
            Mnemonic.Vpblendd => PackedImmediate.Find(Mnemonic.Blendps),
            _ => null,
        };

    private static void MoveLow4(Vector128<byte>* d, Vector128<byte>* s, int imm) => *(uint*)d = *(uint*)s;

    private static void MoveLow8(Vector128<byte>* d, Vector128<byte>* s, int imm) => *(ulong*)d = *(ulong*)s;

    private static void MoveLowToHigh(Vector128<byte>* d, Vector128<byte>* s, int imm) => ((ulong*)d)[1] = *(ulong*)s;

    private static void MoveHighToLow(Vector128<byte>* d, Vector128<byte>* s, int imm) => *(ulong*)d = ((ulong*)s)[1];

    private static void Vpsllvd(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        for (int i = 0; i < 4; i++)
        {
            uint n = ((uint*)s)[i];
            ((uint*)d)[i] = n > 31 ? 0 : ((uint*)d)[i] << (int)n;
        }
    }

    private static void Vpsrlvd(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        for (int i = 0; i < 4; i++)
        {
            uint n = ((uint*)s)[i];
            ((uint*)d)[i] = n > 31 ? 0 : ((uint*)d)[i] >> (int)n;
        }
    }

    private static void Vpsravd(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        for (int i = 0; i < 4; i++)
        {
            ((int*)d)[i] >>= (int)Math.Min(((uint*)s)[i], 31);
        }
    }

    private static void Vpsllvq(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        for (int i = 0; i < 2; i++)
        {
            ulong n = ((ulong*)s)[i];
            ((ulong*)d)[i] = n > 63 ? 0 : ((ulong*)d)[i] << (int)n;
        }
    }

    private static void Vpsrlvq(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        for (int i = 0; i < 2; i++)
        {
            ulong n = ((ulong*)s)[i];
            ((ulong*)d)[i] = n > 63 ? 0 : ((ulong*)d)[i] >> (int)n;
        }
    }

    private static void Vpermilps(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        Vector128<uint> a = d->AsUInt32();
        for (int i = 0; i < 4; i++)
        {
            ((uint*)d)[i] = a[(int)(((uint*)s)[i] & 3)];
        }
    }

    private static void Vpermilpd(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        Vector128<ulong> a = d->AsUInt64();
        for (int i = 0; i < 2; i++)
        {
            ((ulong*)d)[i] = a[(int)((((ulong*)s)[i] >> 1) & 1)];
        }
    }

    private static void VpermilpdImmediate(Vector128<byte>* d, Vector128<byte>* s, int imm)
    {
        ulong* p = (ulong*)s;
        *d = Vector128.Create(p[imm & 1], p[(imm >> 1) & 1]).AsByte();
    }
}
