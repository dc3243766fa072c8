using System.Globalization;
using System.Text;
using Cnvm.Arch;
using Cnvm.Arch.Boot;
using Cnvm.Arch.Machine;
using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Kvm.Tests;

/// <summary>Boots the bare-metal payload through PVH and checks what it reports on its console port.</summary>
public sealed class PayloadTests(PayloadFile payload) : IClassFixture<PayloadFile>
{
    private const ushort ConsolePort = 0x3f8;
    private const ushort FirstPort = 0x80;
    private const ushort ExitPort = 0x501;

    private sealed class ConsoleBus : IVcpuBus
    {
        private readonly StringBuilder _text = new();

        public IVirtualCpu? Vcpu { get; set; }

        public ulong PortWrites { get; private set; }

        public ulong MmioWrites { get; private set; }

        public bool SawFirstInstruction { get; private set; }

        /// <summary>Called with every whole line.</summary>
        public Action<string>? Line { get; set; }

        public List<string> Lines { get; } = [];

        public void ReadPort(ushort port, Span<byte> data) => data.Fill(0xff);

        public void WritePort(ushort port, ReadOnlySpan<byte> data)
        {
            switch (port)
            {
                case FirstPort: SawFirstInstruction = true; break;
                case ExitPort: Vcpu!.Kick(); break;
                case ConsolePort: Put((char)data[0]); break;
                default: PortWrites++; break;
            }
        }

        public void ReadMmio(ulong gpa, Span<byte> data) => data.Fill(0xff);

        public void WriteMmio(ulong gpa, ReadOnlySpan<byte> data) => MmioWrites++;

        public void EndOfInterrupt(byte vector)
        {
        }

        public byte AcknowledgePic() => 0;

        private void Put(char c)
        {
            if (c != '\n')
            {
                _text.Append(c);
                return;
            }

            Lines.Add(_text.ToString().Trim());
            Line?.Invoke(Lines[^1]);
            _text.Clear();
        }
    }

    private ConsoleBus Run(
        string commandLine, Action<IPartition, ConsoleBus>? prepare = null, BootProtocol protocol = BootProtocol.Pvh)
    {
        const ulong Ram = 64 << 20;
        Skip.If(payload.Obstacle is not null, payload.Obstacle);
        using KvmHypervisor kvm = TestHost.Open();
        MappedMemory mapping = MappedMemory.Anonymous((nuint)Ram);
        var region = new RamRegion(0, Ram, mapping.Address);
        using var memory = new GuestMemory(mapping.Address, [region], mapping);
        using IPartition partition = kvm.CreatePartition(new PartitionOptions { MaxVcpus = 1 });
        partition.MapRam(region);
        using KernelFile kernel = KernelFile.Open(payload.Path, "payload");
        BootResult boot = BootLoader.Load(
            new BootRequest
            {
                Kernel = kernel,
                CommandLine = commandLine + " exit=0x501:0",
                Protocol = protocol,
                Layout = PhysicalLayout.Plan(MachineProfile.Cloud, Ram, 40),
            },
            memory);
        Assert.Equal(protocol, boot.Protocol);
        var bus = new ConsoleBus();
        using IVirtualCpu vcpu = partition.CreateVcpu(0, 0, kvm.SupportedCpuid, bus);
        bus.Vcpu = vcpu;
        prepare?.Invoke(partition, bus);
        vcpu.SetEntry(boot.Entry);
        vcpu.Bind();
        VcpuStop stop = vcpu.Run();
        Assert.True(stop.Reason == VcpuStopReason.Kicked, $"{stop.Reason}: {stop.Report}\n{string.Join('\n', bus.Lines)}");
        Assert.True(bus.SawFirstInstruction);
        return bus;
    }

    private static Dictionary<string, ulong> Values(string line) => line["payload: ".Length..].Split(' ')
        .Select(word => word.Split('='))
        .ToDictionary(p => p[0], p => ulong.Parse(p[1], CultureInfo.InvariantCulture));

    [SkippableFact]
    public void FirstInstructionIsSeenAndTheMachineEnds() => Assert.Empty(Run("ready").Lines);

    [SkippableTheory]
    [InlineData(BootProtocol.Pvh)]
    [InlineData(BootProtocol.Linux64)]
    public void ExitsAreCounted(BootProtocol protocol)
    {
        ConsoleBus bus = Run("exits=5000 mmio=3000", protocol: protocol);
        Assert.Equal(5000UL, bus.PortWrites);
        Assert.Equal(3000UL, bus.MmioWrites);
        Assert.Equal(5000UL, Values(bus.Lines[0])["exits"]);
        Assert.Equal(3000UL, Values(bus.Lines[1])["mmio"]);
        Assert.Equal("payload: done", bus.Lines[2]);
    }

    [SkippableFact]
    public void PagesKeepTheirPatternAndVectorsTheirLanes()
    {
        ConsoleBus bus = Run("dirty=2000 rounds=3 fpu=20000");
        Assert.Equal(6000UL, Values(bus.Lines[0])["dirty"]);
        Assert.Equal(0UL, Values(bus.Lines[1])["bad"]);
        Assert.Equal(20000UL, Values(bus.Lines[1])["fpu"]);
    }

    [SkippableFact]
    public void InterruptsOfARouteAndOfItsOwnAreCounted()
    {
        const int Count = 20;
        using var stop = new CancellationTokenSource();
        Task? sender = null;
        ConsoleBus bus = Run($"irq={Count}", (partition, b) => b.Line = line =>
        {
            if (line != "payload: irq ready")
            {
                stop.Cancel();
                return;
            }

            // Messages that come while one is pending merge, so this goes on until the guest has seen enough.
            sender = Task.Run(async () =>
            {
                using IMsiRoute route = partition.Interrupts.CreateMsiRoute();
                route.SetMessage(new MsiMessage(0xfee0_0000, 0x40));
                while (!stop.IsCancellationRequested)
                {
                    route.Trigger.Signal();
                    await Task.Delay(1);
                }
            });
        });
        sender?.Wait(TestGuest.Limit);
        Assert.InRange(Values(bus.Lines[1])["irq"], (ulong)Count, ulong.MaxValue);
        Assert.Equal(30UL, Values(Run("irq=30 self").Lines[1])["irq"]);
    }
}
