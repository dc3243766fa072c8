using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Ops;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>
/// Fused multiply-add. Operands: Dst, register Index, and Src; the nibbles of Disp's hexadecimal form of the order (0x132 ...) say
/// which of them are factor, factor and addend; bits 15:12 the <see cref="FusedKind"/>; Base the number of elements.
/// </summary>
internal static unsafe class FusedOps
{
    public static nint Single(Cpu* c, Op* op)
    {
        uint* t = (uint*)VexOps.Result(c);
        Unsafe.CopyBlock(t, (byte*)c + op->Dst, 32);
        uint raised = 0;
        for (int i = 0; i < op->Base; i++)
        {
            raised |= Element(c, op, FloatFormat.Single, i);
        }

        return Finish(c, op, raised);
    }

    public static nint Double(Cpu* c, Op* op)
    {
        Unsafe.CopyBlock(VexOps.Result(c), (byte*)c + op->Dst, 32);
        uint raised = 0;
        for (int i = 0; i < op->Base; i++)
        {
            raised |= Element(c, op, FloatFormat.Double, i);
        }

        return Finish(c, op, raised);
    }

    private static nint Finish(Cpu* c, Op* op, uint raised)
    {
        if (raised != 0 && !FloatExceptions.Accept(c, raised))
        {
            return Operand.Fault(c, op);
        }

        Vector128<byte>* t = VexOps.Result(c);
        Vector128<byte>* d = (Vector128<byte>*)((byte*)c + op->Dst);
        d[0] = t[0];
        d[1] = (op->Scale & VexOps.Wide) != 0 ? t[1] : default;
        return op[1].Fn(c, op + 1);
    }

    private static byte* Operand3(Cpu* c, Op* op, int n) =>
        (n & 0xf) == 1 ? (byte*)c + op->Dst : (n & 0xf) == 2 ? (byte*)VexOps.Register(c, op->Index) : (byte*)c + op->Src;

    private static uint Element(Cpu* c, Op* op, FloatFormat f, int i)
    {
        byte* x = Operand3(c, op, op->Disp >> 8);
        byte* y = Operand3(c, op, op->Disp >> 4);
        byte* z = Operand3(c, op, op->Disp);
        var kind = (FusedKind)(op->Disp >> 12);
        bool negateProduct = kind is FusedKind.NegatedMultiplyAdd or FusedKind.NegatedMultiplySubtract;
        bool negateAddend = kind switch
        {
            FusedKind.MultiplySubtract or FusedKind.NegatedMultiplySubtract => true,
            FusedKind.MultiplyAddSubtract => (i & 1) == 0,
            FusedKind.MultiplySubtractAdd => (i & 1) != 0,
            _ => false,
        };
        uint mxcsr = c->Mxcsr;
        if (f == FloatFormat.Single)
        {
            float a = ((float*)x)[i];
            float b = ((float*)y)[i];
            float addend = ((float*)z)[i];
            if (TryHost(a, b, addend, negateProduct, negateAddend, mxcsr, out float r))
            {
                ((float*)VexOps.Result(c))[i] = r;
                return 0;
            }

            SoftFloat m = new(mxcsr);
            ((uint*)VexOps.Result(c))[i] = (uint)m.MultiplyAdd(f, ((uint*)x)[i], ((uint*)y)[i], ((uint*)z)[i], negateProduct, negateAddend);
            return m.Flags;
        }

        double da = ((double*)x)[i];
        double db = ((double*)y)[i];
        double dc = ((double*)z)[i];
        if (TryHost(da, db, dc, negateProduct, negateAddend, mxcsr, out double dr))
        {
            ((double*)VexOps.Result(c))[i] = dr;
            return 0;
        }

        SoftFloat n = new(mxcsr);
        ((ulong*)VexOps.Result(c))[i] = n.MultiplyAdd(f, ((ulong*)x)[i], ((ulong*)y)[i], ((ulong*)z)[i], negateProduct, negateAddend);
        return n.Flags;
    }

    /// <summary>The host's own instruction, where it has one; without it the integer calculation is faster than the C library's.</summary>
    private static bool TryHost(double a, double b, double z, bool negateProduct, bool negateAddend, uint mxcsr, out double r)
    {
        r = 0;
        if (!Fma.IsSupported || (mxcsr & 0xffe0) != 0x1fa0
            || !FloatElements.IsZeroOrNormal(a) || !FloatElements.IsZeroOrNormal(b) || !FloatElements.IsZeroOrNormal(z))
        {
            return false;
        }

        r = Math.FusedMultiplyAdd(negateProduct ? -a : a, b, negateAddend ? -z : z);
        return FloatElements.IsSafeResult(r);
    }

    private static bool TryHost(float a, float b, float z, bool negateProduct, bool negateAddend, uint mxcsr, out float r)
    {
        r = 0;
        if (!Fma.IsSupported || (mxcsr & 0xffe0) != 0x1fa0
            || !FloatElements.IsZeroOrNormal(a) || !FloatElements.IsZeroOrNormal(b) || !FloatElements.IsZeroOrNormal(z))
        {
            return false;
        }

        r = MathF.FusedMultiplyAdd(negateProduct ? -a : a, b, negateAddend ? -z : z);
        return FloatElements.IsSafeResult(r);
    }
}
