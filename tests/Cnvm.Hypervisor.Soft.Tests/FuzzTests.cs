using Cnvm.Hypervisor.Soft.Core;
using System.Globalization;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>Random bytes as code. CNVM_SOFT_FUZZ says how many pieces for each mode.</summary>
public sealed unsafe class FuzzTests
{
    private static int Pieces => int.TryParse(Environment.GetEnvironmentVariable("CNVM_SOFT_FUZZ"), CultureInfo.InvariantCulture, out int n) ? n : 400;

    [Theory]
    [InlineData(CpuMode.Real, false)]
    [InlineData(CpuMode.Protected16, true)]
    [InlineData(CpuMode.Protected, false)]
    [InlineData(CpuMode.Paged, true)]
    [InlineData(CpuMode.ProtectedUser, false)]
    [InlineData(CpuMode.Compatibility, true)]
    [InlineData(CpuMode.Long, false)]
    [InlineData(CpuMode.Long, true)]
    [InlineData(CpuMode.LongUser, true)]
    internal void Random_bytes_never_harm_the_host(CpuMode mode, bool handlers)
    {
        using SoftMachine m = new();
        byte[] clean = m.At(0, (int)SoftMachine.RamSize).ToArray();
        // Loops and halts end when the timer says so.
        using Timer timer = new(_ => m.Vcpu.Kick(), null, 2, 2);
        int ended = 0;
        for (int i = 0; i < Pieces; i++)
        {
            Random random = new((i * 16) + (int)mode);
            clean.CopyTo(m.At(0, clean.Length));
            if (handlers)
            {
                m.AddHandlers();
            }

            // All over RAM, with common prefixes and opcodes more often than chance has them.
            Span<byte> code = m.At(SoftMachine.CodeAddress, 0x800);
            random.NextBytes(code);
            for (int k = 0; k < code.Length; k += random.Next(1, 12))
            {
                code[k] = random.Next(6) switch { 0 => 0x0f, 1 => 0xc4, 2 => 0xc5, 3 => 0x66, 4 => 0xf3, _ => (byte)random.Next(0xd8,
                    0xe0) };
            }

            random.NextBytes(m.At(SoftMachine.DataAddress, 0x1000));
            ulong start = mode == CpuMode.Real ? 0x7c00 : SoftMachine.CodeAddress;
            if (mode == CpuMode.Real)
            {
                code[..0x400].CopyTo(m.At(start, 0x400));
            }

            m.Vcpu.Reset();
            m.Enter(0, mode, start, r =>
            {
                for (int n = 0; n < 16; n++)
                {
                    r[n] = random.Next(3) switch
                    {
                        0 => SoftMachine.DataAddress + (ulong)random.Next(0x1000),
                        1 => (ulong)random.NextInt64(),
                        _ => (ulong)random.Next(0x100),
                    };
                }

                r[4] = SoftMachine.StackTop;
            });
            if (i % 4 == 3)
            {
                AddBreakpoints(m.Vcpu.State, random);
            }

            VcpuStopReason reason = m.Run().Reason;
            Assert.True(reason is VcpuStopReason.Shutdown or VcpuStopReason.Kicked, $"piece {i}: {reason}");
            ended += reason == VcpuStopReason.Shutdown || m.Bus.Ports.Count != 0 ? 1 : 0;
        }

        Assert.InRange(ended, 1, Pieces);
    }

    /// <summary>Single steps, and breakpoints of any kind on code and data.</summary>
    private static void AddBreakpoints(Cpu* c, Random random)
    {
        for (int n = 0; n < 4; n++)
        {
            c->Dr[n] = (random.Next(2) == 0 ? SoftMachine.CodeAddress : SoftMachine.DataAddress) + (ulong)random.Next(0x100);
        }

        c->Dr[7] = 0x400 | ((ulong)random.NextInt64() & 0xffff_20ff);
        c->Cr4 |= ControlBits.CR4_DE;
        c->Flags |= random.Next(2) == 0 ? Rflags.TF : 0;
        SoftVcpu.UpdateWatch(c);
    }
}
