using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Memory;

/// <summary>Page walks (SDM vol. 3 chapter 5): no paging, 32-bit, PAE and 4-level.</summary>
internal static unsafe partial class Mmu
{
    public const uint WalkWritable = 1;
    public const uint WalkGlobal = 2;

    /// <summary>Some user translation since the last full flush came from a large page.</summary>
    public const uint WalkLargeUser = 4;

    private const ulong Present = 1;
    private const ulong Writable = 2;
    private const ulong UserPage = 4;
    private const ulong Accessed = 0x20;
    private const ulong Dirty = 0x40;
    private const ulong LargePage = 0x80;
    private const ulong GlobalPage = 0x100;
    private const ulong NoExecute = 1ul << 63;

    private const uint ErrorPresent = 1;
    private const uint ErrorWrite = 2;
    private const uint ErrorUser = 4;
    private const uint ErrorReserved = 8;
    private const uint ErrorFetch = 16;

    /// <summary>Translates one linear address into <see cref="Cpu.WalkPhys"/>, or describes a page fault.</summary>
    /// <param name="user">The access counts as made at CPL 3.</param>
    /// <param name="implicitAccess">Made by the processor itself: SMAP applies whatever EFLAGS.AC is, when CPL is 3.</param>
    public static bool Walk(Cpu* c, ulong a, Access access, bool user, bool implicitAccess)
    {
        if ((c->Cr0 & ControlBits.CR0_PG) == 0)
        {
            c->WalkPhys = (uint)a;
            c->WalkFlags = WalkWritable;
            return true;
        }

        bool pae = (c->Cr4 & ControlBits.CR4_PAE) != 0;
        bool longMode = (c->Efer & ControlBits.EFER_LMA) != 0;
        int level = longMode ? 4 : pae ? 3 : 2;
        int bits = pae ? 9 : 10;
        ulong addressMask = ((1ul << c->PhysicalBits) - 1) & PageMask;
        ulong reserved = pae ? ~((1ul << c->PhysicalBits) - 1) & 0x000f_ffff_ffff_ffff : 0;
        if (pae && !longMode)
        {
            // Bits 62:52 exist in long mode only (APM vol. 2 §5.2.3).
            reserved |= 0x7ff0_0000_0000_0000;
        }

        if (pae && (c->Efer & ControlBits.EFER_NXE) == 0)
        {
            reserved |= NoExecute;
        }

        ulong table = longMode || !pae ? c->Cr3 & addressMask : c->Cr3 & 0xffff_ffe0;
        ulong rights = Writable | UserPage;
        ulong noExecute = 0;
        for (; ; level--)
        {
            int shift = 12 + ((level - 1) * bits);
            ulong slotAddress = table + (((a >> shift) & ((1ul << bits) - 1)) * (pae ? 8u : 4u));
            if (level == 3 && !longMode)
            {
                // The four page-directory-pointer entries carry no rights.
                slotAddress = table + (((a >> 30) & 3) * 8);
            }

            byte* slot = TableEntry(c, slotAddress);
            if (slot == null)
            {
                return Fault(c, a, access, user, 0);
            }

            ulong entry = pae ? Volatile.Read(ref *(ulong*)slot) : Volatile.Read(ref *(uint*)slot);
            if ((entry & Present) == 0)
            {
                return Fault(c, a, access, user, 0);
            }

            bool pointer = level == 3 && !longMode;
            bool leaf = level == 1 || (!pointer && (level == 2 || (level == 3 && longMode)) && (entry & LargePage) != 0
                && (pae || (c->Cr4 & ControlBits.CR4_PSE) != 0));
            if ((entry & reserved) != 0 || (level == 4 && (entry & LargePage) != 0)
                || (leaf && level > 1 && (entry & (pae ? ((1ul << shift) - 1) & ~0x1ffful : LegacyLargeReserved(c))) != 0))
            {
                return Fault(c, a, access, user, ErrorPresent | ErrorReserved);
            }

            if (!pointer)
            {
                rights &= entry;
                noExecute |= entry & NoExecute;
            }

            if (!leaf)
            {
                SetEntryBits(c, slot, entry, pointer ? 0 : Accessed, pae);
                table = entry & addressMask;
                continue;
            }

            if (!Permits(c, rights, noExecute, access, user, implicitAccess))
            {
                return Fault(c, a, access, user, ErrorPresent);
            }

            ulong set = access == Access.Write ? Accessed | Dirty : Accessed;
            SetEntryBits(c, slot, entry, set, pae);
            ulong offset = (1ul << shift) - 1;
            ulong frame = entry & addressMask & ~offset;
            if (!pae && level == 2)
            {
                // PSE-36: address bits 39:32 stand in bits 20:13 (APM vol. 2 §5.2.2).
                frame |= ((entry >> 13) & 0xff) << 32;
            }

            c->WalkPhys = frame | (a & offset);
            bool write = ((entry | set) & Dirty) != 0
                && ((rights & Writable) != 0 || (!user && (c->Cr0 & ControlBits.CR0_WP) == 0));
            uint large = (c->WalkFlags & WalkLargeUser) | (level > 1 && (rights & UserPage) != 0 ? WalkLargeUser : 0);
            c->WalkFlags = large | (write ? WalkWritable : 0) | ((entry & GlobalPage) != 0 && (c->Cr4 & ControlBits.CR4_PGE) != 0 ? WalkGlobal : 0);
            return true;
        }
    }

    /// <summary>Reserved bits of a 4 MiB page's entry: bit 21, and what lies above the physical addresses.</summary>
    private static ulong LegacyLargeReserved(Cpu* c) =>
        (1ul << 21) | (c->PhysicalBits >= 40 ? 0 : (0x1f_e000ul << (c->PhysicalBits - 32)) & 0x1f_e000);

    private static bool Permits(Cpu* c, ulong rights, ulong noExecute, Access access, bool user, bool implicitAccess)
    {
        if (access == Access.Execute && noExecute != 0)
        {
            return false;
        }

        bool userPage = (rights & UserPage) != 0;
        if (user)
        {
            return userPage && (access != Access.Write || (rights & Writable) != 0);
        }

        if (userPage && access == Access.Execute && (c->Cr4 & ControlBits.CR4_SMEP) != 0)
        {
            return false;
        }

        if (userPage && access != Access.Execute && (c->Cr4 & ControlBits.CR4_SMAP) != 0
            && ((c->Flags & Rflags.AC) == 0 || (implicitAccess && c->Cpl == 3)))
        {
            return false;
        }

        return access != Access.Write || (rights & Writable) != 0 || (c->Cr0 & ControlBits.CR0_WP) == 0;
    }

    private static bool Fault(Cpu* c, ulong a, Access access, bool user, uint error)
    {
        if (access == Access.Write)
        {
            error |= ErrorWrite;
        }

        if (user)
        {
            error |= ErrorUser;
        }

        if (access == Access.Execute && ((c->Efer & ControlBits.EFER_NXE) != 0 || (c->Cr4 & ControlBits.CR4_SMEP) != 0))
        {
            error |= ErrorFetch;
        }

        Raise(c, Vectors.PF, error);
        c->ExcCr2 = a;
        return false;
    }

    /// <summary>Host address of a paging-structure entry; null when the guest put it outside RAM, which reads as not present.</summary>
    private static byte* TableEntry(Cpu* c, ulong gpa)
    {
        RamSlot* ram = FindRam(c, gpa);
        return ram == null ? null : ram->Host + (gpa - ram->Start);
    }

    /// <summary>Sets accessed and dirty bits as one atomic step; an entry that changed meanwhile keeps its new value's other bits.</summary>
    private static void SetEntryBits(Cpu* c, byte* slot, ulong entry, ulong set, bool pae)
    {
        if ((entry & set) == set)
        {
            return;
        }

        if (pae)
        {
            Interlocked.Or(ref *(ulong*)slot, set);
        }
        else
        {
            Interlocked.Or(ref *(uint*)slot, (uint)set);
        }

        for (int i = 0; i < c->RamCount; i++)
        {
            RamSlot* ram = c->Ram + i;
            if (ram->Dirty != null && slot >= ram->Host && slot < ram->Host + (ram->End - ram->Start))
            {
                MarkDirty(ram, (ulong)(slot - ram->Host) >> 12);
            }
        }
    }
}
