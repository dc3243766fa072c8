using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>State, dirty log, self-modifying code and hostile code.</summary>
[Collection("arena")]
public sealed class MachineTests
{
    [Fact]
    public void Saved_state_restores_to_itself()
    {
        using NativeProcessor native = new();
        using SoftProcessor soft = new();
        NativeProcessor.SetCode([0xd9, 0xeb, 0xd9, 0xe8, 0x48, 0xff, 0xc0], SoftProcessor.Tail);
        ProcessorState registers = new InstructionGenerator(7).State();
        Assert.Equal(VcpuStopReason.Kicked, soft.Run(registers).Reason);
        VcpuState first = soft.Vcpu.Save();
        soft.Vcpu.Reset();
        soft.Vcpu.Restore(first);
        VcpuState second = soft.Vcpu.Save();
        Assert.Equal(first.General, second.General);
        Assert.Equal(first.System, second.System);
        Assert.Equal(first.Xsave.AsSpan(), second.Xsave.AsSpan());
        Assert.Equal(first.Lapic.AsSpan(), second.Lapic.AsSpan());
        Assert.Equal(first.Events, second.Events);
        // The time-stamp counter goes on.
        Assert.Equal(first.Msrs.Where(m => m.Index != 0x10), second.Msrs.Where(m => m.Index != 0x10));
        Assert.NotEqual(0, first.Xsave[4]);
    }

    [Fact]
    public void Dirty_log_names_the_written_page_once()
    {
        using NativeProcessor native = new();
        using SoftProcessor soft = new();
        // mov [r15], rax
        NativeProcessor.SetCode([0x49, 0x89, 0x07], SoftProcessor.Tail);
        ProcessorState registers = new InstructionGenerator(7).State();
        soft.Run(registers);
        IDirtyLog log = soft.Vcpu.Partition.DirtyLog;
        log.Start();
        soft.Run(registers);
        DirtyBitmap dirty = new(soft.Vcpu.Partition.Regions);
        log.Collect(dirty);
        ulong page = (NativeProcessor.DataAddress - NativeProcessor.ArenaBase) >> 12;
        Assert.True(dirty.IsDirty(0, page));
        DirtyBitmap later = new(soft.Vcpu.Partition.Regions);
        log.Collect(later);
        Assert.False(later.IsDirty(0, page));
        soft.Run(registers);
        log.Collect(later);
        Assert.True(later.IsDirty(0, page));
        log.Stop();
    }

    [Fact]
    public void Code_that_rewrites_its_next_instruction_runs_the_new_one()
    {
        using NativeProcessor native = new();
        using SoftProcessor soft = new();
        // mov byte [rip+2], 5 ; mov al, 1 (its immediate becomes 5)
        NativeProcessor.SetCode([0xc6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x05, 0xb0, 0x01], SoftProcessor.Tail);
        ProcessorState registers = new InstructionGenerator(7).State();
        Assert.Equal(VcpuStopReason.Kicked, soft.Run(registers).Reason);
        Assert.Equal(5, (byte)registers.General[0]);
    }

    [Fact]
    public void Random_bytes_never_harm_the_host()
    {
        using NativeProcessor native = new();
        using SoftProcessor soft = new();
        Random random = new(11);
        byte[] code = new byte[512];
        int shutdowns = 0;
        for (int i = 0; i < 300; i++)
        {
            random.NextBytes(code);
            NativeProcessor.SetCode(code, SoftProcessor.Tail);
            VcpuState clean = soft.Vcpu.Save();
            using Timer kick = new(_ => soft.Vcpu.Kick(), null, 30, Timeout.Infinite);
            // There is no IDT: the first exception shuts the machine down.
            shutdowns += soft.Run(new InstructionGenerator(i).State()).Reason == VcpuStopReason.Shutdown ? 1 : 0;
            soft.Vcpu.Restore(clean);
        }

        Assert.InRange(shutdowns, 1, 300);
    }
}
