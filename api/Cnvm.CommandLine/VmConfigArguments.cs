using Cnvm.Vmm.Config;

namespace Cnvm.CommandLine;

/// <summary>Makes the configuration of a VM out of the flags that describe it.</summary>
internal static partial class VmConfigArguments
{
    /// <summary>The configuration, not validated; null if no flag describes a VM.</summary>
    /// <exception cref="CommandLineException">A flag's value is wrong, or there is no payload.</exception>
    public static VmConfig? Parse(Arguments arguments)
    {
        if (arguments.FirstVmFlag is not { } first)
        {
            return null;
        }

        if (!arguments.Has(Flags.Kernel))
        {
            throw new CommandLineException(
                $"{first} describes a VM, so {Flags.Kernel} is needed; without any such flag only the API socket is served");
        }

        return new VmConfig(
            Payload: new PayloadConfig(
                Kernel: arguments.Value(Flags.Kernel),
                Cmdline: arguments.Value(Flags.Cmdline),
                Initramfs: arguments.Value(Flags.Initramfs)),
            Cpus: Map(arguments.Value(Flags.Cpus), ParseCpus),
            Memory: ParseMemory(arguments.Value(Flags.Memory), arguments.Values(Flags.MemoryZone)),
            Disks: MapAll(arguments.Values(Flags.Disk), ParseDisk),
            Net: MapAll(arguments.Values(Flags.Net), ParseNet),
            Rng: Map(arguments.Value(Flags.Rng), ParseRng),
            Serial: Map(arguments.Value(Flags.Serial), ParseSerial),
            Console: Map(arguments.Value(Flags.Console), ParseConsole),
            DebugConsole: Map(arguments.Value(Flags.DebugConsole), ParseDebugConsole),
            Platform: ParsePlatform(arguments.Value(Flags.Platform), arguments.Value(Flags.Machine)),
            Pvpanic: arguments.Has(Flags.Pvpanic));
    }

    private static T? Map<T>(string? value, Func<string, T> parse)
        where T : class => value is null ? null : parse(value);

    private static List<T>? MapAll<T>(IReadOnlyList<string>? values, Func<string, T> parse)
        where T : class => values?.Select(parse).ToList();
}
