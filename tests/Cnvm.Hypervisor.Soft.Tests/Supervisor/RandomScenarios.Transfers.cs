using Cnvm.Arch.Registers;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Far jumps and calls, gates, returns.</summary>
internal static partial class RandomScenarios
{
    private static Scenario Transfers(string name, Random r)
    {
        Scenario s = Begin(
            name, r, ScenarioMode.Long, ScenarioMode.LongUser, ScenarioMode.Compatibility, ScenarioMode.CompatibilityUser, ScenarioMode.Pae,
            ScenarioMode.PaeUser);
        EndsElsewhere(s);
        ushort selector = RandomSelector(s, r);
        if (Chance(r, 30))
        {
            // A call gate, in long mode of two halves.
            uint type = (uint)(s.IsWide || Chance(r, 60) ? 0xc : 4) | (Chance(r, 88) ? 0x80u : 0) | ((uint)r.Next(4) << 5);
            ushort target = Pick<ushort>(
                r, Layout.Code64, Layout.Code32, Layout.UserCode32, Layout.UserCode64, Layout.Data, 0, Layout.Free + 0x10, Layout.Free + 0x11);
            // 16-bit gates lead into the first 64 KiB.
            ulong entry = (type & 8) != 0 ? Layout.MoreCode : Layout.Handlers + (Layout.EndPort * 16);
            s.Put(Layout.Gdt + Layout.Free, Layout.Gate(entry, target, type, Chance(r, 70) ? 0 : (uint)r.Next(8)));
            s.Put(Layout.Gdt + Layout.Free + 8, Chance(r, 85) ? 0 : Pick<ulong>(r, 0x100_0000_0000, 0x8000, 0xffff_8000));
            s.Put(Layout.Gdt + Layout.Free + 0x10, RandomDescriptor(s, r));
            selector = (ushort)(Layout.Free | r.Next(4));
            InnerStacks(s, r);
        }

        ulong at = s.IsUser ? Layout.UserData : Layout.KernelData;
        bool wide = s.Bits == 64;
        bool far64 = wide && Chance(r, 40);
        // In the first 64 KiB, for 16-bit code.
        s.Put(at, Chance(r, 92) ? s.IsUser ? Layout.MoreCode : Layout.Handlers + (Layout.EndPort * 16) : far64 ? Word(r) : 0x40_0000);
        s.Put(at + (far64 ? 8u : 4), selector);
        s.Registers[7] = at;
        return s.Code((far64 ? "48" : "") + Pick<string>(r, "FF2F", "FF1F"));
    }

    /// <summary>Stacks of the inner levels, good or bad.</summary>
    private static void InnerStacks(Scenario s, Random r)
    {
        if (s.IsWide)
        {
            s.Put(Layout.Tss64 + 4, Chance(r, 80) ? Layout.KernelStack - 0x10 + (uint)r.Next(32) : Pick<ulong>(r, 0, 0x8000_0000_0000, 0x40_0000));
            s.Put(Layout.Tss64 + 12, Layout.KernelStack - 0x200);
            s.Put(Layout.Tss64 + 20, Layout.KernelStack - 0x400);
        }
        else
        {
            s.Put32(Layout.Tss32 + 4, Chance(r, 80) ? (uint)Layout.KernelStack - 0x10 + (uint)r.Next(32) : Pick<uint>(r, 0, 0x4000_0000, 8));
            s.Put32(Layout.Tss32 + 8, Chance(r, 70) ? Layout.Data : RandomSelector(s, r));
        }

        if (Chance(r, 8))
        {
            s.System = s.System with { Tr = s.System.Tr with { Limit = (uint)r.Next(0x68) } };
        }
    }

    /// <summary>Interrupts and exceptions through random gates.</summary>
    private static Scenario Gates(string name, Random r)
    {
        Scenario s = Begin(
            name, r, ScenarioMode.Long, ScenarioMode.LongUser, ScenarioMode.LongUser, ScenarioMode.Compatibility, ScenarioMode.CompatibilityUser,
            ScenarioMode.Pae, ScenarioMode.PaeUser);
        EndsElsewhere(s);
        InnerStacks(s, r);
        ushort target = Chance(r, 60) ? s.IsWide ? Layout.Code64 : Layout.Code32 : RandomSelector(s, r);
        uint type = (uint)(Chance(r, 85) ? Pick(r, 0xe, 0xf) : r.Next(32)) | (Chance(r, 90) ? 0x80u : 0) | (Chance(r, 60) ? 0x60 : (uint)r.Next(4) << 5);
        (int vector, string code) = Pick<(int, string)>(
            r, (0x50, "CD50"), (0x50, "CD50"), (3, "CC"), (6, "0F0B"), (0, "31C9F7F1"), (14, "0FB6042500004000"), (13, "0F20C0" + "B8EFBEADDE" + "8ED8"),
            (0x50, "9090CD50"), (4, "CE"));
        // An absent handler of page faults would be called until the stack has eaten the tables.
        ulong handler = vector == 14 || Chance(r, 94) ? Layout.MoreCode : s.IsWide ? Pick<ulong>(r, 0x8000_0000_0000, 0x40_0000, 0x1_0000_0000) : 0x40_0000;
        if (!s.IsWide && (type & 0x1f) is 6 or 7)
        {
            // 16-bit gates lead into the first 64 KiB.
            handler = Layout.Handlers + (Layout.EndPort * 16);
        }

        // QEMU's processor writes an interrupt stack's frame with the kernel's rights even for a handler at CPL 3.
        s.Gate(vector, handler, target, type, s.IsWide && target == Layout.Code64 && Chance(r, 60) ? (uint)r.Next(8) : 0);
        if (Chance(r, 8))
        {
            // Sometimes the table ends before the vector.
            s.System = s.System with { Idt = new DescriptorTable(s.Idt, (ushort)((vector * (s.IsWide ? 16 : 8)) + r.Next(24))) };
        }

        if (Chance(r, 10))
        {
            ulong page = Pick(r, Layout.KernelStack - 0x1000, Layout.IstStacks - 0x1000, Layout.Tss64, Layout.Tss32, Layout.Idt64, Layout.Idt32);
            ulong entry = Pick<ulong>(r, 0, 1, 3, 5, 7) | (page & ~0xffful);
            s.Put(Layout.PageTable + (page >> 12 << 3), entry);
            s.Put(Layout.PaeTable + (page >> 12 << 3), entry);
        }

        return s.Code(code);
    }

    /// <summary>IRET, far RET, SYSRET, SYSCALL, SYSEXIT and SYSENTER with frames and registers of every kind.</summary>
    private static Scenario Returns(string name, Random r)
    {
        Scenario s = Begin(
            name, r, ScenarioMode.Long, ScenarioMode.Long, ScenarioMode.LongUser, ScenarioMode.Compatibility, ScenarioMode.CompatibilityUser,
            ScenarioMode.Pae, ScenarioMode.PaeUser);
        EndsElsewhere(s);
        bool wide = s.Bits == 64;
        ulong sp = s.Registers[4];
        ushort cs = Chance(r, 60)
            ? Pick<ushort>(r, Layout.Code64, Layout.UserCode64, Layout.UserCode32, Layout.Code32, Layout.Data, Layout.UserDataSelector)
            : RandomSelector(s, r);
        cs = (cs & ~7) == Layout.Code16 ? (ushort)(Layout.Code32 | (cs & 3)) : cs;
        ulong rip = Chance(r, 90) ? Layout.MoreCode
            : cs is Layout.Code64 or Layout.UserCode64 && wide ? Pick<ulong>(r, 0x8000_0000_0000, 0xffff_7fff_ffff_ffff, 0x40_0000, Word(r))
            : 0x40_0000;
        ushort ss = Chance(r, 70)
            ? Pick<ushort>(r, Layout.Data, Layout.UserDataSelector, Layout.UserDataSelector, 0, 3, 1, Layout.UserCode32)
            : RandomSelector(s, r);
        // Virtual-8086 mode is not among what is compared.
        ulong flags = Word(r) & 0x3d_7fd5 & (Chance(r, 80) ? ~0x100ul : ulong.MaxValue) & (Chance(r, 80) ? ~0x4000ul : ulong.MaxValue);
        if (!s.IsWide)
        {
            flags &= ~0x4000ul;
        }

        if ((ss & ~3) == 0 && (cs & ~3) is not (Layout.Code64 or (Layout.UserCode64 & ~3)))
        {
            // QEMU's processor lets 32-bit code have a null SS.
            ss = Layout.Data;
        }

        ulong stack = Chance(r, 80) ? Layout.UserStack - 0x80 : Pick<ulong>(r, 0, 0x8000_0000_0000, Word(r));
        s.Flags |= s.IsWide && Chance(r, 6) ? 0x4000ul : 0;
        int size = Pick(r, 4, 4, 4, wide ? 8 : 4, wide ? 8 : 4, 2);
        string prefix = size == 8 ? "48" : size == 2 ? "66" : "";
        ulong[] frame = [rip, cs, flags, stack, ss];
        int kind = r.Next(10);
        if (kind == 5)
        {
            frame = [rip, cs, stack, ss];
        }
        else if (kind == 6)
        {
            // Eight bytes of arguments are dropped.
            frame = [rip, cs, .. new ulong[8 / size], stack, ss];
        }

        if (size == 2)
        {
            // A handler that only ends, in the first 64 KiB.
            frame[0] = Layout.Handlers + (Layout.EndPort * 16);
        }

        for (int i = 0; i < frame.Length; i++)
        {
            ulong at = sp + (ulong)(i * size);
            if (size == 8)
            {
                s.Put(at, frame[i]);
            }
            else if (size == 4)
            {
                s.Put32(at, (uint)frame[i]);
            }
            else
            {
                s.Put32(at, (ushort)frame[i]);
            }
        }

        switch (kind)
        {
            case < 5:
                return s.Code(prefix + "CF");
            case 5:
                return s.Code(prefix + "CB");
            case 6:
                return s.Code(prefix + "CA0800");
            default:
                return s.Set(x => SystemCalls(x, r, rip, flags, wide));
        }
    }

    private static void SystemCalls(Scenario s, Random r, ulong rip, ulong flags, bool wide)
    {
        ulong star = Chance(r, 80) ? 0x0018_0008ul : (uint)Word(r) & 0xffff_ffff;
        s.Msrs[0xc000_0081] = (star << 32) | (uint)Layout.MoreCode;
        s.Msrs[0xc000_0082] = Layout.MoreCode;
        s.Msrs[0xc000_0083] = Layout.MoreCode + 8;
        s.Msrs[0xc000_0084] = Chance(r, 50) ? 0x4_7700 : (uint)Word(r);
        s.Msrs[0x174] = Chance(r, 80) ? Layout.Code32 : Pick<ulong>(r, 0, 3, 8, 0x1_0000_0040, 0x43);
        s.Msrs[0x175] = Layout.KernelStack;
        s.Msrs[0x176] = Layout.MoreCode;
        if (Chance(r, 10))
        {
            s.System = s.System with { Efer = s.System.Efer & ~1ul };
        }
        else
        {
            s.System = s.System with { Efer = s.System.Efer | 1 };
        }

        s.Registers[1] = rip;
        s.Registers[2] = rip;
        // QEMU's SYSRET leaves VIF and VIP alone and takes RF (SDM vol. 2, SYSRET: R11 AND 3C7FD7H).
        s.Registers[11] = wide ? flags & ~0x19_0000ul : 0;
        string code = Pick<string>(r, "0F05", "0F05", "0F07", wide ? "480F07" : "0F07", wide ? "480F07" : "0F07", "0F34", "0F35");
        s.Code(code);
        if (code == "0F05")
        {
            s.Ignore("rflags", "QEMU's processor clears the arithmetic flags; APM vol. 3, SYSCALL: RFLAGS AND NOT SFMASK");
        }

        if (s.IsWide && code is "0F34" or "0F35")
        {
            s.Says("end=vector6", "APM vol. 3, SYSENTER and SYSEXIT: not recognized in long mode, #UD");
        }
    }
}
