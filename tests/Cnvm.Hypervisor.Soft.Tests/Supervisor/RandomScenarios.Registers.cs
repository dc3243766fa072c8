using Cnvm.Arch.Registers;

namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>Control, debug and model-specific registers.</summary>
internal static partial class RandomScenarios
{
    /// <summary>Bits that one write changes: few, so that most writes are about one of them.</summary>
    private static ulong Bits(Random r, int width)
    {
        ulong v = 0;
        for (int n = r.Next(1, 4); n > 0; n--)
        {
            v |= 1ul << r.Next(width);
        }

        return v;
    }

    private static Scenario Control(string name, Random r)
    {
        Scenario s = Begin(
            name, r, ScenarioMode.Long, ScenarioMode.Long, ScenarioMode.Compatibility, ScenarioMode.Paged, ScenarioMode.Protected, ScenarioMode.LongUser);
        // KVM's emulator cuts longer values of CR0, CR4 and CR8 down, which the manual has as reserved bits: those are written scenarios.
        int width = 32;
        SystemRegisters y = s.System;
        switch (r.Next(8))
        {
            case 0 or 1:
                s.Registers[0] = y.Cr0 ^ Bits(r, width);
                return s.Code("0F22C0" + "0F20C3");
            case 2:
                // Writes that keep the tables: low bits and those above the address.
                s.Registers[0] = y.Cr3 ^ (Chance(r, 60) ? Bits(r, 12) : s.Bits == 64 ? 1ul << r.Next(40, 52) : 0);
                if (s.Registers[0] >> 40 != 0 && !s.IsUser)
                {
                    s.Says("end=vector13", "APM vol. 2 §5.3.2: bits above the physical addresses are reserved; KVM gives up");
                }

                return s.Code("0F22D8" + "0F20DB");
            case 3 or 4:
                s.Registers[0] = y.Cr4 ^ (Bits(r, 24) & ~3ul);
                return s.Code("0F22E0" + "0F20E3");
            case 5:
                s.Registers[0] = (uint)r.Next(16);
                // mov cr8, rax exists in 64-bit mode; elsewhere as a LOCKed CR0.
                return s.Code(s.Bits == 64 ? "440F22C0" + "440F20C3" : "F00F22C0" + "F00F20C3");
            case 6:
                int n = r.Next(8);
                s.Registers[0] = n < 6 ? Word(r) : Chance(r, 70) ? (uint)Word(r) & ~0x2000u : Bits(r, 64);
                if (s.Bits != 64)
                {
                    s.Registers[0] = (uint)s.Registers[0];
                }

                // QEMU's processor keeps bits that read as zero: DR6 bit 12, DR7 bits 12, 14 and 15 (APM vol. 2 §13.1.1).
                s.Registers[0] &= n is 4 or 6 ? ~0x1000ul : n is 5 or 7 ? ~0xd000ul : ulong.MaxValue;

                if (n is 5 or 7)
                {
                    // No breakpoint is enabled: those are scenarios of their own.
                    s.Registers[0] &= ~0x20fful;
                }

                s.System = Chance(r, 30) ? y with { Cr4 = y.Cr4 | 8 } : y;
                string modrm = (0xc0 | (n << 3)).ToString("X2", System.Globalization.CultureInfo.InvariantCulture);
                string back = (0xc3 | (n << 3)).ToString("X2", System.Globalization.CultureInfo.InvariantCulture);
                return s.Code("0F23" + modrm + "0F21" + back);
            default:
                s.Registers[0] = Bits(r, 16);
                return s.Code(Pick<string>(r, "0F01F0" + "0F01E3", "0F06" + "0F01E3", "0F01E3", "0F01F0" + "0F20C3"));
        }
    }

    private static readonly uint[] s_msrs =
    [
        0x1b, 0x174, 0x175, 0x176, 0x277, 0xc000_0080, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0100, 0xc000_0101, 0xc000_0102,
        0xc000_0103, 0x200, 0x201, 0x250, 0x26f, 0x2ff, 0xfe, 0x6e0, 0x802, 0x80d, 0x830, 0x1234, 0xc000_0105, 0x4000_0000, 0x8b, 0x17a,
        0x20f, 0x210, 0xc001_0117,
    ];

    private static Scenario ModelSpecific(string name, Random r)
    {
        Scenario s = Begin(name, r, ScenarioMode.Long, ScenarioMode.Long, ScenarioMode.Long, ScenarioMode.LongUser, ScenarioMode.Pae);
        uint index = Pick<uint>(r, s_msrs);
        ulong value = r.Next(4) switch
        {
            0 => Bits(r, 64),
            1 => Bits(r, 32),
            2 => Word(r),
            _ => 0x0006_0504_0302_0100ul * (uint)r.Next(2),
        };
        if (index == 0xc000_0080)
        {
            value = s.System.Efer ^ (Chance(r, 50) ? Bits(r, 16) : Bits(r, 64));
        }
        else if (index == 0x1b)
        {
            value = s.System.ApicBase ^ (Bits(r, 64) & ~0xffff_f000ul);
        }

        if (index is 0x175 or 0x176 or 0xc000_0084)
        {
            // AMD's have 32 bits (APM vol. 2 §6.1), QEMU's 64.
            value = (uint)value;
        }
        else if (index == 0x174)
        {
            value = (ushort)value;
        }

        s.Msrs[0x250] = s.Msrs[0x26f] = 0x0606_0606_0606_0606;
        s.Msrs[0x2ff] = 0xc06;
        s.Msrs[0x200] = s.Msrs[0x201] = s.Msrs[0x20f] = s.Msrs[0x17a] = 0;
        s.Msrs[0x8b] = 0x0a10_1148;
        s.Registers[1] = index;
        s.Registers[0] = (uint)value;
        s.Registers[2] = value >> 32;
        // wrmsr ; rdmsr ; mov esi, edx
        bool isWrite = Chance(r, 85);
        bool isCanonical = (long)(value << 16) >> 16 == (long)value;
        if (isWrite && !isCanonical && !s.IsUser && index is 0xc000_0082 or 0xc000_0083 or (>= 0xc000_0100 and <= 0xc000_0102))
        {
            s.Says("end=vector13", "APM vol. 2 §5.3.1 and vol. 3, WRMSR: #GP for addresses that are not canonical, which QEMU's takes");
        }

        return s.Code(isWrite ? "0F30" + "0F32" + "89D6" : "0F32");
    }
}
