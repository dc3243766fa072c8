using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Fpu;

/// <summary>What becomes of the exceptions that a vector instruction met (SDM vol. 1 §11.5.4).</summary>
internal static unsafe class FloatExceptions
{
    /// <summary>Those that are found before anything is computed.</summary>
    private const uint BeforeComputation = SoftFloat.Invalid | SoftFloat.Denormal | SoftFloat.ZeroDivide;

    /// <summary>Exceptions of a step that was done, all of them masked: they are flagged whatever a later step meets.</summary>
    public static uint Noted(uint raised) => raised << 8;

    /// <summary>
    /// Sets the flags; false when one of them is not masked, with #XM (or #UD, when CR4.OSXMMEXCPT is clear) described: the
    /// instruction then has no result.
    /// </summary>
    public static bool Accept(Cpu* c, uint raised)
    {
        c->Mxcsr |= (raised >> 8) & 0x3f;
        raised &= 0x3f;
        uint unmasked = raised & ~(c->Mxcsr >> 7) & 0x3f;
        if (unmasked == 0)
        {
            c->Mxcsr |= raised;
            return true;
        }

        // An exception before the computation keeps those after it from being found.
        c->Mxcsr |= (unmasked & BeforeComputation) != 0 ? raised & BeforeComputation : raised;
        Mmu.RaiseNoError(c, (c->Cr4 & ControlBits.CR4_OSXMMEXCPT) != 0 ? Vectors.XM : Vectors.UD);
        return false;
    }
}
