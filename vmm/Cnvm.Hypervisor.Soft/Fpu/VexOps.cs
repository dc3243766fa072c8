using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>
/// VEX forms of the vector instructions: the function of the legacy form on one or two 128-bit lanes, with the first operand in a
/// register of its own and everything above the result cleared.
/// </summary>
/// <remarks>
/// Operand fields: Dst result, Index number of the first operand's register, Src second operand; Base bytes from the second
/// operand's lower lane to its upper one, Seg bits to shift the immediate by for the upper lane, Scale the flags below.
/// </remarks>
internal static unsafe class VexOps
{
    /// <summary>Scale: two lanes.</summary>
    public const byte Wide = 1;

    /// <summary>Scale: each lane gives 64 bits, and the result is one lane.</summary>
    public const byte Narrowing = 2;

    public static Vector128<byte>* Register(Cpu* c, int n) => (Vector128<byte>*)((byte*)c + Cpu.VectorOffset + (n * 32));

    private static Vector128<byte>* D(Cpu* c, Op* op) => (Vector128<byte>*)((byte*)c + op->Dst);

    /// <summary>Where results are made before they are known to be wanted.</summary>
    public static Vector128<byte>* Result(Cpu* c) => (Vector128<byte>*)((byte*)c + Cpu.VectorTempOffset + 32);

    public static nint Apply(Cpu* c, Op* op)
    {
        var fn = (delegate*<Vector128<byte>*, Vector128<byte>*, int, void>)op->Imm;
        Vector128<byte>* a = Register(c, op->Index);
        Vector128<byte>* t = Result(c);
        byte* b = (byte*)c + op->Src;
        t[0] = a[0];
        t[1] = a[1];
        fn(t, (Vector128<byte>*)b, op->Disp);
        if ((op->Scale & Wide) != 0)
        {
            fn(t + 1, (Vector128<byte>*)(b + op->Base), op->Disp >> op->Seg);
        }
        else
        {
            t[1] = default;
        }

        Vector128<byte>* d = D(c, op);
        d[0] = t[0];
        d[1] = t[1];
        return op[1].Fn(c, op + 1);
    }

    public static nint ApplyFloat(Cpu* c, Op* op)
    {
        var fn = (delegate*<Vector128<byte>*, Vector128<byte>*, int, uint, uint>)op->Imm;
        Vector128<byte>* a = Register(c, op->Index);
        Vector128<byte>* t = Result(c);
        byte* b = (byte*)c + op->Src;
        t[0] = a[0];
        t[1] = a[1];
        uint raised = fn(t, (Vector128<byte>*)b, op->Disp, c->Mxcsr);
        if ((op->Scale & Wide) != 0)
        {
            raised |= fn(t + 1, (Vector128<byte>*)(b + op->Base), op->Disp >> op->Seg, c->Mxcsr);
        }
        else
        {
            t[1] = default;
        }

        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        if ((op->Scale & Narrowing) != 0)
        {
            t[0] = (op->Scale & Wide) != 0 ? Sse2.UnpackLow(t[0].AsUInt64(), t[1].AsUInt64()).AsByte() : t[0];
            t[1] = default;
        }

        Vector128<byte>* d = D(c, op);
        d[0] = t[0];
        d[1] = t[1];
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VDPPS on two lanes.</summary>
    public static nint DotProduct(Cpu* c, Op* op)
    {
        Vector128<byte>* a = Register(c, op->Index);
        Vector128<byte>* t = Result(c);
        t[0] = a[0];
        t[1] = a[1];
        uint raised = FloatPacked.Dpps(t, (Vector128<byte>*)((byte*)c + op->Src), op->Disp, c->Mxcsr, lanes: 2);
        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        Vector128<byte>* d = D(c, op);
        d[0] = t[0];
        d[1] = t[1];
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Clears the upper lane of Dst.</summary>
    public static nint ClearUpper(Cpu* c, Op* op)
    {
        D(c, op)[1] = default;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VZEROUPPER; with Imm 1 VZEROALL. Disp: number of registers.</summary>
    public static nint ZeroAll(Cpu* c, Op* op)
    {
        for (int i = 0; i < op->Disp; i++)
        {
            Vector128<byte>* r = Register(c, i);
            r[0] = op->Imm == 1 ? default : r[0];
            r[1] = default;
        }

        return op[1].Fn(c, op + 1);
    }

    /// <summary>Dst = Src, one or two lanes; the rest is cleared.</summary>
    public static nint Copy(Cpu* c, Op* op)
    {
        Vector128<byte>* d = D(c, op);
        Vector128<byte>* s = (Vector128<byte>*)((byte*)c + op->Src);
        d[0] = s[0];
        d[1] = (op->Scale & Wide) != 0 ? s[1] : default;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>Fills Dst with the lowest element of Src; Disp: its bytes.</summary>
    public static nint Broadcast(Cpu* c, Op* op)
    {
        byte* s = (byte*)c + op->Src;
        Vector128<byte> v = op->Disp switch
        {
            1 => Vector128.Create(*s),
            2 => Vector128.Create(*(ushort*)s).AsByte(),
            4 => Vector128.Create(*(uint*)s).AsByte(),
            8 => Vector128.Create(*(ulong*)s).AsByte(),
            _ => *(Vector128<byte>*)s,
        };
        Vector128<byte>* d = D(c, op);
        d[0] = v;
        d[1] = (op->Scale & Wide) != 0 ? v : default;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VINSERTF128: register Index with the lane that bit 0 of Disp names replaced by Src.</summary>
    public static nint InsertLane(Cpu* c, Op* op)
    {
        Vector128<byte>* a = Register(c, op->Index);
        Vector128<byte> s = *(Vector128<byte>*)((byte*)c + op->Src);
        Vector128<byte> other = a[~op->Disp & 1];
        Vector128<byte>* d = D(c, op);
        d[op->Disp & 1] = s;
        d[~op->Disp & 1] = other;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VPERM2F128: each lane is one of the four of register Index and Src, or zero.</summary>
    public static nint PermuteLanes(Cpu* c, Op* op)
    {
        Vector128<byte>* t = Result(c);
        for (int i = 0; i < 2; i++)
        {
            int control = op->Disp >> (i * 4);
            Vector128<byte>* from = (control & 2) != 0 ? (Vector128<byte>*)((byte*)c + op->Src) : Register(c, op->Index);
            t[i] = (control & 8) != 0 ? default : from[control & 1];
        }

        Vector128<byte>* d = D(c, op);
        d[0] = t[0];
        d[1] = t[1];
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VPERMQ, VPERMPD: quarters of Src chosen by Disp.</summary>
    public static nint PermuteQuarters(Cpu* c, Op* op)
    {
        ulong* t = (ulong*)Result(c);
        ulong* s = (ulong*)((byte*)c + op->Src);
        for (int i = 0; i < 4; i++)
        {
            t[i] = s[(op->Disp >> (i * 2)) & 3];
        }

        Unsafe.CopyBlock((byte*)c + op->Dst, t, 32);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VPERMD, VPERMPS: eighths of Src chosen by the elements of register Index.</summary>
    public static nint PermuteEighths(Cpu* c, Op* op)
    {
        uint* t = (uint*)Result(c);
        uint* s = (uint*)((byte*)c + op->Src);
        uint* control = (uint*)Register(c, op->Index);
        for (int i = 0; i < 8; i++)
        {
            t[i] = s[control[i] & 7];
        }

        Unsafe.CopyBlock((byte*)c + op->Dst, t, 32);
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VPBLENDVB (Disp 1), VBLENDVPS (4), VBLENDVPD (8): elements of register Index or Src, chosen by signs in register
    /// Base.</summary>
    public static nint BlendVariable(Cpu* c, Op* op)
    {
        Vector128<byte>* a = Register(c, op->Index);
        Vector128<byte>* b = (Vector128<byte>*)((byte*)c + op->Src);
        Vector128<byte>* mask = Register(c, op->Base);
        Vector128<byte>* t = Result(c);
        for (int i = 0; i < 2; i++)
        {
            t[i] = op->Disp switch
            {
                1 => Sse41.BlendVariable(a[i], b[i], mask[i]),
                4 => Sse41.BlendVariable(a[i].AsSingle(), b[i].AsSingle(), mask[i].AsSingle()).AsByte(),
                _ => Sse41.BlendVariable(a[i].AsDouble(), b[i].AsDouble(), mask[i].AsDouble()).AsByte(),
            };
        }

        Vector128<byte>* d = D(c, op);
        d[0] = t[0];
        d[1] = (op->Scale & Wide) != 0 ? t[1] : default;
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VMOVMSKPS, VMOVMSKPD, VPMOVMSKB on two lanes.</summary>
    public static nint SignMaskWide(Cpu* c, Op* op)
    {
        Vector128<byte>* s = (Vector128<byte>*)((byte*)c + op->Src);
        *(ulong*)((byte*)c + op->Dst) = op->Disp switch
        {
            1 => (uint)Sse2.MoveMask(s[0]) | ((uint)Sse2.MoveMask(s[1]) << 16),
            4 => (uint)Sse.MoveMask(s[0].AsSingle()) | ((uint)Sse.MoveMask(s[1].AsSingle()) << 4),
            _ => (uint)Sse2.MoveMask(s[0].AsDouble()) | ((uint)Sse2.MoveMask(s[1].AsDouble()) << 2),
        };
        return op[1].Fn(c, op + 1);
    }

    /// <summary>VPTEST (Disp 0), VTESTPS (4), VTESTPD (8): ZF when register Index AND Src has no (sign) bit, CF when Src AND NOT has
    /// none.</summary>
    public static nint Test(Cpu* c, Op* op)
    {
        Vector128<byte>* a = Register(c, op->Index);
        Vector128<byte>* b = (Vector128<byte>*)((byte*)c + op->Src);
        Vector128<byte> bits = op->Disp switch
        {
            4 => Vector128.Create(0x8000_0000).AsByte(),
            8 => Vector128.Create(0x8000_0000_0000_0000).AsByte(),
            _ => Vector128<byte>.AllBitsSet,
        };
        Vector128<byte> both = a[0] & b[0];
        Vector128<byte> only = Sse2.AndNot(a[0], b[0]);
        if ((op->Scale & Wide) != 0)
        {
            both |= a[1] & b[1];
            only |= Sse2.AndNot(a[1], b[1]);
        }

        StatusFlags.Set(c, ((both & bits) == default ? Rflags.ZF : 0) | ((only & bits) == default ? Rflags.CF : 0));
        return op[1].Fn(c, op + 1);
    }
}
