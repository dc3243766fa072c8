using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Ops;
using Cnvm.Hypervisor.Soft.Translation;

namespace Cnvm.Hypervisor.Soft;

/// <summary>Control registers and what follows from them.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private const ulong Cr0Valid = ControlBits.CR0_PE | ControlBits.CR0_MP | ControlBits.CR0_EM | ControlBits.CR0_TS | ControlBits.CR0_ET
        | ControlBits.CR0_NE | ControlBits.CR0_WP | ControlBits.CR0_AM | ControlBits.CR0_NW | ControlBits.CR0_CD | ControlBits.CR0_PG;

    /// <summary>Writes CR0, CR2, CR3, CR4 or CR8; false for values that are refused with #GP(0).</summary>
    public bool WriteControl(int n, ulong v)
    {
        Cpu* c = _c;
        switch (n)
        {
            case 0:
                return WriteCr0(v);
            case 2:
                c->Cr2 = v;
                return true;
            case 3:
                bool keep = (c->Cr4 & ControlBits.CR4_PCIDE) != 0;
                ulong root = keep ? v & ~(1ul << 63) : v;
                if (Segments.LongMode(c) ? root >> c->PhysicalBits != 0 : !PointersAreValid(root, c->Cr0, c->Cr4))
                {
                    return false;
                }

                c->Cr3 = root;
                Mmu.FlushNonGlobal(c);
                return true;
            case 4:
                return WriteCr4(v);
            default:
                if (v > 15)
                {
                    return false;
                }

                Apic.TaskPriorityClass = (byte)v;
                Interlocked.Or(ref c->Attention, AttentionBits.Interrupt);
                return true;
        }
    }

    private bool WriteCr0(ulong v)
    {
        Cpu* c = _c;
        if (v >> 32 != 0)
        {
            return false;
        }

        v = (v & Cr0Valid) | ControlBits.CR0_ET;
        bool paging = (v & ControlBits.CR0_PG) != 0;
        if ((paging && (v & ControlBits.CR0_PE) == 0) || ((v & ControlBits.CR0_NW) != 0 && (v & ControlBits.CR0_CD) == 0))
        {
            return false;
        }

        bool wasPaging = (c->Cr0 & ControlBits.CR0_PG) != 0;
        if (paging && !wasPaging && (c->Efer & ControlBits.EFER_LME) != 0)
        {
            if ((c->Cr4 & ControlBits.CR4_PAE) == 0 || (c->Attributes[Segments.CS] & Segments.LongCode) != 0)
            {
                return false;
            }

            c->Efer |= ControlBits.EFER_LMA;
        }

        if (!paging && wasPaging)
        {
            if (Segments.Code64(c) || (c->Cr4 & ControlBits.CR4_PCIDE) != 0)
            {
                return false;
            }

            c->Efer &= ~ControlBits.EFER_LMA;
        }

        ulong changed = c->Cr0 ^ v;
        if (!Segments.LongMode(c) && !PointersAreValid(c->Cr3, v, c->Cr4))
        {
            return false;
        }

        c->Cr0 = v;
        if ((changed & (ControlBits.CR0_PG | ControlBits.CR0_WP | ControlBits.CR0_PE)) != 0)
        {
            Mmu.FlushAll(c);
        }

        UpdateMode();
        return true;
    }

    /// <summary>
    /// PAE paging's four page-directory pointers have no reserved bits set: looked at whenever they would be loaded (APM vol. 2 §5.2.3;
    /// SDM vol. 3 §4.4.1).
    /// </summary>
    private bool PointersAreValid(ulong cr3, ulong cr0, ulong cr4)
    {
        Cpu* c = _c;
        if ((cr0 & ControlBits.CR0_PG) == 0 || (cr4 & ControlBits.CR4_PAE) == 0)
        {
            return true;
        }

        ulong table = cr3 & 0xffff_ffe0;
        RamSlot* ram = Mmu.FindRam(c, table);
        if (ram == null)
        {
            return true;
        }

        ulong* pointers = (ulong*)(ram->Host + (table - ram->Start));
        ulong reserved = ~((1ul << c->PhysicalBits) - 1) | 0x1e6;
        for (int i = 0; i < 4; i++)
        {
            if ((pointers[i] & 1) != 0 && (pointers[i] & reserved) != 0)
            {
                return false;
            }
        }

        return true;
    }

    private bool WriteCr4(ulong v)
    {
        Cpu* c = _c;
        if ((v & ~_cr4Valid) != 0
            || (Segments.LongMode(c) && (v & ControlBits.CR4_PAE) == 0)
            || ((v & ControlBits.CR4_PCIDE) != 0 && (!Segments.LongMode(c) || ((c->Cr4 & ControlBits.CR4_PCIDE) == 0
                && (c->Cr3 & 0xfff) != 0)))
            || (!Segments.LongMode(c) && !PointersAreValid(c->Cr3, c->Cr0, v)))
        {
            return false;
        }

        c->Cr4 = v;
        Mmu.FlushAll(c);
        UpdateMode();
        return true;
    }

    /// <summary>INVLPG. A large page has no entry of its own in the TLB, so kernel addresses flush everything.</summary>
    public void InvalidatePage(ulong a)
    {
        if ((long)a < 0 || (_c->WalkFlags & Mmu.WalkLargeUser) != 0)
        {
            Mmu.FlushAll(_c);
        }
        else
        {
            Mmu.FlushPage(_c, a);
        }
    }

    public void UpdateMode() => UpdateMode(_c);

    /// <summary>Recomputes what the translator and the TLB depend on; call after CS, SS, CR0, CR4, EFER or CPL changed.</summary>
    public static void UpdateMode(Cpu* c)
    {
        int mode;
        if (Segments.Code64(c))
        {
            mode = ModeBits.Code64;
            c->R[19] = 0;
        }
        else
        {
            mode = (c->Attributes[Segments.CS] & Segments.Big) != 0 ? ModeBits.Code32 : ModeBits.Code16;
        }

        c->Cpl = !Segments.ProtectedMode(c) ? 0 : Segments.Vm86(c) ? 3 : c->Selector[Segments.CS] & 3;
        if ((c->Cr0 & (ControlBits.CR0_EM | ControlBits.CR0_TS)) == 0)
        {
            mode |= ModeBits.Fpu;
            if ((c->Cr4 & ControlBits.CR4_OSFXSR) != 0)
            {
                mode |= ModeBits.Sse;
            }
        }
        else if ((c->Cr0 & ControlBits.CR0_TS) != 0)
        {
            mode |= ModeBits.TaskSwitched;
        }

        if (Segments.ProtectedMode(c) && !Segments.Vm86(c))
        {
            mode |= ModeBits.Vex;
            if ((c->Cr4 & ControlBits.CR4_OSXSAVE) != 0 && (c->Xcr0 & 6) == 6)
            {
                mode |= ModeBits.Avx;
            }
        }

        c->ModeKey = (ulong)mode << ModeBits.Shift;
        Mmu.SelectTlb(c);
    }
}
