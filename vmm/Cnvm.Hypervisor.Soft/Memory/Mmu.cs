using System.Runtime.CompilerServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Memory;

/// <summary>
/// Linear memory. Operations look into the TLB themselves; what misses there (or crosses a page, is no RAM, or holds translated
/// code) comes here. Every method that can fault returns false with the exception described in the processor state.
/// </summary>
internal static unsafe partial class Mmu
{
    public const int TlbSize = 1024;
    public const int TlbMask = TlbSize - 1;

    /// <summary>Entries that a bit of <see cref="Cpu.TlbGroups"/> stands for, and their number's bits.</summary>
    public const int TlbGroup = TlbSize / 64;
    public const int TlbGroupShift = 4;

    /// <summary>Data sets; instruction sets follow them in <see cref="Cpu.TlbGroups"/>.</summary>
    public const int DataSets = 3;

    public const ulong PageMask = ~0xffful;

    /// <summary>A tag that no access has.</summary>
    public const ulong NoTag = 1;

    public const int Supervisor = 0;
    public const int SupervisorUserData = 1;
    public const int User = 2;

    /// <summary>Chooses the TLBs that fit privilege, SMAP and EFLAGS.AC; call after any of them changes.</summary>
    public static void SelectTlb(Cpu* c)
    {
        int set = c->Cpl == 3 ? User
            : (c->Cr4 & ControlBits.CR4_SMAP) != 0 && (c->Flags & Rflags.AC) == 0 ? Supervisor : SupervisorUserData;
        c->TlbSet = set;
        c->Tlb = c->TlbSets + (set * TlbSize);
        c->ExecTlb = c->ExecSets + (c->Cpl == 3 ? TlbSize : 0);
    }

    /// <summary>The lowest bits of a linear address in which it must be sign-extended agree (48-bit addresses).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsCanonical(ulong a) => (ulong)((long)(a << 16) >> 16) == a;

    /// <summary>Reads 1 to 64 bytes into <see cref="Cpu.Data"/>.</summary>
    public static bool Read(Cpu* c, ulong a, int size)
    {
        int inPage = 0x1000 - (int)(a & 0xfff);
        if (size > inPage && !IsCanonicalRange(c, a, size))
        {
            return false;
        }

        if (!Translate(c, a, Access.Read))
        {
            return false;
        }

        if (size <= inPage)
        {
            if (c->Watch != 0)
            {
                NoteAccess(c, a, size, write: false);
            }

            ReadPhysical(c, c->WalkPhys, (byte*)c->Data, size);
            return true;
        }

        ulong first = c->WalkPhys;
        if (!Translate(c, Wrap(c, a + (uint)inPage), Access.Read))
        {
            return false;
        }

        ulong second = c->WalkPhys;
        if (c->Watch != 0)
        {
            NoteAccess(c, a, size, write: false);
        }

        ReadPhysical(c, first, (byte*)c->Data, inPage);
        ReadPhysical(c, second, (byte*)c->Data + inPage, size - inPage);
        return true;
    }

    /// <summary>Writes 1 to 64 bytes from <see cref="Cpu.Data"/>.</summary>
    public static bool Write(Cpu* c, ulong a, int size)
    {
        int inPage = 0x1000 - (int)(a & 0xfff);
        if (size > inPage && !IsCanonicalRange(c, a, size))
        {
            return false;
        }

        if (!Translate(c, a, Access.Write))
        {
            return false;
        }

        if (size <= inPage)
        {
            if (c->Watch != 0)
            {
                NoteAccess(c, a, size, write: true);
            }

            WritePhysical(c, c->WalkPhys, (byte*)c->Data, size);
            return true;
        }

        ulong first = c->WalkPhys;
        if (!Translate(c, Wrap(c, a + (uint)inPage), Access.Write))
        {
            return false;
        }

        ulong second = c->WalkPhys;
        if (c->Watch != 0)
        {
            NoteAccess(c, a, size, write: true);
        }

        WritePhysical(c, first, (byte*)c->Data, inPage);
        WritePhysical(c, second, (byte*)c->Data + inPage, size - inPage);
        return true;
    }

    /// <summary>Checks that a byte can be read, without reading.</summary>
    public static bool ProbeRead(Cpu* c, ulong a) => Translate(c, a, Access.Read);

    /// <summary>Checks that a range can be written, without writing.</summary>
    public static bool ProbeWrite(Cpu* c, ulong a, int size) =>
        ((a & 0xfff) + (uint)size <= 0x1000 || IsCanonicalRange(c, a, size))
        && Translate(c, a, Access.Write)
        && ((a & 0xfff) + (uint)size <= 0x1000 || Translate(c, Wrap(c, (a & PageMask) + 0x1000), Access.Write));

    /// <summary>
    /// Begins a read-modify-write: the old value is in <see cref="Cpu.Data"/>, and <see cref="Cpu.RmwHost"/> is its host address
    /// where it may be changed directly. Otherwise end it with <see cref="Write"/>.
    /// </summary>
    public static bool BeginRmw(Cpu* c, ulong a, int size)
    {
        c->RmwHost = null;
        c->RmwAddress = a;
        // An indivisible access needs the host's address even where others are not to have it.
        c->WatchedFill = Cpu.WatchData;
        bool permitted = ProbeWrite(c, a, size);
        c->WatchedFill = 0;
        if (!permitted)
        {
            return false;
        }

        if (c->Watch != 0)
        {
            NoteAccess(c, a, size, write: true);
        }

        TlbEntry* e = c->Tlb + ((a >> 12) & TlbMask);
        if (e->WriteTag == ((a + (uint)(size - 1)) & PageMask))
        {
            c->RmwHost = (byte*)(a + e->Addend);
            Unsafe.CopyBlockUnaligned(c->Data, c->RmwHost, (uint)size);
            return true;
        }

        return Read(c, a, size);
    }

    public static bool EndRmw(Cpu* c, int size)
    {
        if (c->RmwHost != null)
        {
            Unsafe.CopyBlockUnaligned(c->RmwHost, c->Data, (uint)size);
            return true;
        }

        return Write(c, c->RmwAddress, size);
    }

    /// <summary>Reads for the processor itself (descriptor tables, TSS): supervisor access whatever CPL is.</summary>
    public static bool ReadSystem(Cpu* c, ulong a, int size)
    {
        for (int done = 0; done < size;)
        {
            int part = Math.Min(size - done, 0x1000 - (int)(a & 0xfff));
            if (!Walk(c, a, Access.Read, user: false, implicitAccess: true))
            {
                return false;
            }

            ReadPhysical(c, c->WalkPhys, (byte*)c->Data + done, part);
            done += part;
            a = Wrap(c, a + (uint)part);
        }

        return true;
    }

    /// <summary>Writes for the processor itself from <see cref="Cpu.Data"/>; the range does not cross a page.</summary>
    public static bool WriteSystem(Cpu* c, ulong a, int size)
    {
        if (!Walk(c, a, Access.Write, user: false, implicitAccess: true))
        {
            return false;
        }

        WritePhysical(c, c->WalkPhys, (byte*)c->Data, size);
        return true;
    }

    /// <summary>Host address for a run of bytes inside one page, or null: no RAM or code (slow path) or a fault (see result).</summary>
    public static bool TryHost(Cpu* c, ulong a, Access access, out byte* host)
    {
        host = null;
        TlbEntry* e = c->Tlb + ((a >> 12) & TlbMask);
        ulong tag = a & PageMask;
        if ((access == Access.Read ? e->ReadTag : e->WriteTag) != tag)
        {
            if (!Translate(c, a, access))
            {
                return false;
            }

            if ((access == Access.Read ? e->ReadTag : e->WriteTag) != tag)
            {
                return true;
            }
        }

        host = (byte*)(a + e->Addend);
        return true;
    }

    /// <summary>An access with a byte beyond the canonical addresses is #GP before any of its pages is looked at.</summary>
    private static bool IsCanonicalRange(Cpu* c, ulong a, int size)
    {
        if ((c->Efer & ControlBits.EFER_LMA) == 0 || (IsCanonical(a) && IsCanonical(a + (uint)(size - 1))))
        {
            return true;
        }

        Raise(c, Vectors.GP, 0);
        return false;
    }

    /// <summary>Walks for the current privilege and enters the result in the TLB.</summary>
    private static bool Translate(Cpu* c, ulong a, Access access)
    {
        if ((c->Efer & ControlBits.EFER_LMA) != 0 && !IsCanonical(a))
        {
            Raise(c, Vectors.GP, 0);
            return false;
        }

        if (!Walk(c, a, access, c->Cpl == 3, implicitAccess: false))
        {
            return false;
        }

        ulong phys = c->WalkPhys;
        RamSlot* ram = FindRam(c, phys);
        if (ram == null || ((c->Watch & ~c->WatchedFill & Cpu.WatchData) != 0 && IsWatchedPage(c, a)))
        {
            return true;
        }

        ulong page = (phys - ram->Start) >> 12;
        ulong slot = (a >> 12) & TlbMask;
        TlbEntry* e = c->Tlb + slot;
        c->TlbGroups[c->TlbSet] |= 1ul << (int)(slot >> TlbGroupShift);
        ulong tag = a & PageMask;
        bool mayWrite = (c->WalkFlags & WalkWritable) != 0 && Volatile.Read(ref ram->CodeLines[page]) == 0
            && (access == Access.Write || ram->Dirty == null);
        if (mayWrite && ram->Dirty != null)
        {
            MarkDirty(ram, page);
        }

        ulong write = mayWrite ? tag : e->ReadTag == tag && access == Access.Read ? e->WriteTag : NoTag;
        e->ReadTag = tag;
        e->WriteTag = write;
        e->Addend = (ulong)(ram->Host + (phys - ram->Start)) - a;
        e->Global = c->WalkFlags & WalkGlobal;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Wrap(Cpu* c, ulong a) => (c->Efer & ControlBits.EFER_LMA) != 0 ? a : (uint)a;

    public static void Raise(Cpu* c, int vector, uint error)
    {
        c->ExcVector = vector;
        c->ExcError = error;
        c->ExcHasError = 1;
    }

    public static void RaiseNoError(Cpu* c, int vector)
    {
        c->ExcVector = vector;
        c->ExcError = 0;
        c->ExcHasError = 0;
    }
}
