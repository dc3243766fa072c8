using System.Buffers.Binary;
using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Kvm;
using Cnvm.Hypervisor.Soft;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>A machine with the bare-metal payload, which writes a pattern of page and round into memory, for ever.</summary>
internal static class PayloadMachine
{
    /// <summary>Where the pattern begins.</summary>
    public const ulong Base = 16 << 20;

    /// <summary>Pages that it fills.</summary>
    public const ulong Pages = 32;

    public static IHypervisor Open(string name)
    {
        if (name == "soft")
        {
            return SoftHypervisor.Create();
        }

        Skip.IfNot(File.Exists("/dev/kvm"), "there is no /dev/kvm");
        return KvmHypervisor.Open();
    }

    public static VmConfig Configure(string payload, string profile) => new(
        Cpus: new CpusConfig(Profile: profile),
        Memory: new MemoryConfig(Size: 64 << 20, Thp: false),
        Payload: new PayloadConfig(Kernel: payload, Cmdline: $"dirty={Pages} base={Base} rounds=0"),
        Console: new ConsoleConfig(Mode: ConsoleMode.Off));

    /// <summary>Path of the payload; skips the test when it has not been made.</summary>
    public static string Image()
    {
        string path = Path.Combine(Environment.GetEnvironmentVariable("CNVM_IMAGES") ?? Path.Combine(Root(), "out", "images"), "payload");
        Skip.IfNot(File.Exists(path), $"{path} is missing: 'make images' makes it");
        return path;
    }

    private static string Root()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "cnvm.sln")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        return folder;
    }

    /// <summary>The round in which the last page was written.</summary>
    public static ulong Round(VirtualMachine machine) =>
        BinaryPrimitives.ReadUInt64LittleEndian(machine.Ram.Memory.GetSpan(Base + ((Pages - 1) << 12), 8)) & 0xffff_ffff;

    public static void WaitForRound(VirtualMachine machine, ulong round) =>
        Assert.True(SpinWait.SpinUntil(() => Round(machine) >= round, TimeSpan.FromSeconds(60)), $"round {Round(machine)} instead of {round}");

    public static void Unexpected(VirtualMachine machine, GuestRequest request, string? report) =>
        throw new InvalidOperationException($"{request}: {report}");
}
