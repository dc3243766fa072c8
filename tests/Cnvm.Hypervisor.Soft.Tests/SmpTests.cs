using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>Several vCPUs at once: atomic operations, and code that another vCPU writes.</summary>
public sealed class SmpTests
{
    private const int Rounds = 200_000;

    private static void RunAll(SoftMachine m)
    {
        Thread[] threads = [.. m.Vcpus.Select(v => new Thread(() =>
        {
            v.Bind();
            v.Run();
        }))];
        foreach (Thread t in threads)
        {
            t.Start();
        }

        foreach (Thread t in threads)
        {
            Assert.True(t.Join(TimeSpan.FromMinutes(2)), "a vCPU did not come back");
        }
    }

    /// <summary>Counts in memory by an instruction, then tells the port; the last one ends the run.</summary>
    private static SoftMachine Counters(byte[] count, ulong address)
    {
        SoftMachine m = new(4);
        // mov ecx, Rounds ; again: (count) ; dec ecx ; jnz again ; out 0x80 ; hlt
        byte[] code =
        [
            0xb9, .. BitConverter.GetBytes(Rounds), .. count, 0xff, 0xc9, 0x75, (byte)(-(count.Length + 4)), 0xe6, 0x80, 0xf4, 0xeb, 0xfd,
        ];
        m.Write(SoftMachine.CodeAddress, code);
        int ended = 0;
        m.Bus.OnPort = _ =>
        {
            if (Interlocked.Increment(ref ended) == 4)
            {
                m.Bus.Kick();
            }
        };
        for (int i = 0; i < 4; i++)
        {
            m.Enter(i, CpuMode.Long, SoftMachine.CodeAddress, r =>
            {
                r[7] = address;
                r[0] = 1;
            });
        }

        return m;
    }

    [Fact]
    public void Locked_additions_are_not_lost()
    {
        // lock add [rdi], rax
        using SoftMachine m = Counters([0xf0, 0x48, 0x01, 0x07], SoftMachine.DataAddress);
        RunAll(m);
        Assert.Equal(4ul * Rounds, m.Read64(SoftMachine.DataAddress));
    }

    [Fact]
    public void Locked_additions_across_pages_are_not_lost()
    {
        // lock inc qword [rdi]
        using SoftMachine m = Counters([0xf0, 0x48, 0xff, 0x07], SoftMachine.DataAddress + 0xffc);
        RunAll(m);
        Assert.Equal(4ul * Rounds, m.Read64(SoftMachine.DataAddress + 0xffc));
    }

    [Fact]
    public void A_spin_lock_of_exchanges_keeps_a_plain_counter_right()
    {
        // take: mov edx,1 ; xchg [rdi], edx ; test edx,edx ; jnz take ; inc qword [rdi+8] ; mov dword [rdi], 0
        using SoftMachine m = Counters(
            [0xba, 1, 0, 0, 0, 0x87, 0x17, 0x85, 0xd2, 0x75, 0xf5, 0x48, 0xff, 0x47, 0x08, 0xc7, 0x07, 0, 0, 0, 0],
                SoftMachine.DataAddress);
        RunAll(m);
        Assert.Equal(4ul * Rounds, m.Read64(SoftMachine.DataAddress + 8));
    }

    [Fact]
    public void A_vCPU_sees_the_code_that_another_one_wrote()
    {
        using SoftMachine m = new(2);
        // vCPU 0: again: call 0x30000 ; cmp eax, 2 ; jne again ; out 0x80
        m.Write(SoftMachine.CodeAddress, 0xe8, 0xfb, 0xff, 0x01, 0x00, 0x83, 0xf8, 0x02, 0x75, 0xf6, 0xe6, 0x80, 0xf4);
        // The routine: mov eax, 1 ; ret
        m.Write(0x3_0000, 0xb8, 1, 0, 0, 0, 0xc3);
        // vCPU 1: mov ecx, 1000000 ; dec ecx ; jnz ; mov byte [0x30001], 2 ; out 0x81 ; hlt
        m.Write(0x2_0000, 0xb9, 0x40, 0x42, 0x0f, 0, 0xff, 0xc9, 0x75, 0xfc, 0xc6, 0x04, 0x25, 0x01, 0x00, 0x03, 0x00, 0x02, 0xe6,
            0x81, 0xf4);
        m.Bus.OnPort = port =>
        {
            if (port == 0x80)
            {
                m.Bus.Kick();
            }
        };
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Enter(1, CpuMode.Long, 0x2_0000);
        RunAll(m);
        Assert.Contains(m.Bus.Ports, static p => p.Port == 0x80);
    }

    /// <summary>Processors stop one after the other: what one that still runs says to one that stands is in the state of the latter.</summary>
    [Fact]
    public void What_was_said_to_a_vCPU_that_stands_is_in_its_state()
    {
        using SoftMachine m = new(4);
        for (int i = 0; i < 4; i++)
        {
            m.Enter(i, CpuMode.Long, SoftMachine.CodeAddress);
        }

        VcpuState halted = m.Vcpus[0].Save() with { MpState = MpState.Halted };
        m.Vcpus[0].Restore(halted);
        m.Vcpus[1].Restore(halted);
        m.Vcpus[0].Unhalt();
        m.Vcpus[2].PostInit();
        m.Vcpus[3].PostInit();
        m.Vcpus[3].PostStartup(0x9a);
        VcpuState[] saved = [.. m.Vcpus.Select(v => v.Save())];
        Assert.Equal([MpState.Runnable, MpState.Halted, MpState.WaitForSipi, MpState.Runnable], saved.Select(s => s.MpState));
        Assert.Equal((0xfff0ul, 0x9a00, 0ul), (saved[2].General.Rip, saved[3].System.Cs.Selector, saved[3].General.Rip));
    }

    /// <summary>Its state names the first one's TSC as it was a moment ago; from then on it has it, also after a pause.</summary>
    [Fact]
    public void A_vCPU_that_comes_late_has_the_TSC_of_the_first()
    {
        using SoftMachine m = new(4);
        VcpuState first = m.Vcpus[0].Save();
        VcpuState created = m.Vcpus[3].Save();
        ParavirtualClock clock = m.Partition.SaveClock();
        Thread.Sleep(20);
        m.Vcpus[3].Restore(created with { Msrs = [.. created.Msrs.Select(o => o.Index == 0x10 ? first.Msrs.Single(f => f.Index == 0x10) : o)] });
        Assert.Equal(m.Vcpus[0].TscOffset, m.Vcpus[3].TscOffset);
        m.Partition.RestoreClock(clock);
        Assert.Equal(m.Vcpus[0].TscOffset, m.Vcpus[3].TscOffset);
    }

    /// <summary>It may have been kicked between its look at a lock and the halt, which no state says: it looks again.</summary>
    [Fact]
    public void A_restored_vCPU_that_may_have_been_kicked_does_not_sleep_at_its_next_halt()
    {
        using SoftMachine m = new();
        // hlt ; out 0x80
        m.Write(SoftMachine.CodeAddress, 0xf4, 0xe6, 0x80, 0xf4);
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Vcpu.Unhalt();
        VcpuState state = m.Vcpu.Save();
        m.Vcpu.PostInit();
        m.Vcpu.Save();
        m.Vcpu.Restore(state);
        m.Bus.OnPort = _ => m.Bus.Kick();
        var thread = new Thread(() =>
        {
            m.Vcpu.Bind();
            m.Vcpu.Run();
        });
        thread.Start();
        Assert.True(thread.Join(TimeSpan.FromMinutes(2)), "it sleeps");
        Assert.Equal(0x80, Assert.Single(m.Bus.Ports).Port);
    }

    [Fact]
    public void A_kick_that_comes_before_the_halt_ends_it()
    {
        using SoftMachine m = new(2);
        // vCPU 0: mov eax, 5 (KVM_HC_KICK_CPU) ; mov ecx, 1 (APIC id) ; vmcall ; inc dword [0x40000] ; hlt
        m.Write(SoftMachine.CodeAddress, 0xb8, 5, 0, 0, 0, 0xb9, 1, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xff, 0x04, 0x25, 0, 0, 4, 0, 0xf4);
        // vCPU 1: wait: cmp dword [0x40000], 0 ; je wait ; 1000 rounds more ; hlt ; out 0x80
        m.Write(
            0x2_0000,
            0x83, 0x3c, 0x25, 0, 0, 4, 0, 0, 0x74, 0xf6, 0xb9, 0xe8, 0x03, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4, 0xe6, 0x80, 0xf4);
        m.Bus.OnPort = _ => m.Bus.Kick();
        m.Enter(0, CpuMode.Long, SoftMachine.CodeAddress);
        m.Enter(1, CpuMode.Long, 0x2_0000);
        RunAll(m);
        Assert.Contains(m.Bus.Ports, static p => p.Port == 0x80);
    }
}
