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

        if (!arguments.Has(Flags.Kernel) && !arguments.Has(Flags.Firmware))
        {
            throw new CommandLineException(
                $"{first} describes a VM, so {Flags.Kernel} is needed; without any such flag only the API socket is served");
        }

        return new VmConfig(
            Payload: new PayloadConfig(
                Firmware: arguments.Value(Flags.Firmware),
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
            PciSegments: MapAll(arguments.Values(Flags.PciSegment), ParsePciSegment),
            Pvpanic: arguments.Has(Flags.Pvpanic),
            RateLimitGroups: MapAll(arguments.Values(Flags.RateLimitGroup), ParseRateLimitGroup),
            Balloon: Map(arguments.Value(Flags.Balloon), ParseBalloon),
            GenericVhostUser: MapAll(arguments.Values(Flags.GenericVhostUser), ParseGenericVhostUser),
            Fs: MapAll(arguments.Values(Flags.Fs), ParseFs),
            Pmem: MapAll(arguments.Values(Flags.Pmem), ParsePmem),
            Devices: MapAll(arguments.Values(Flags.Device), ParseDevice),
            UserDevices: MapAll(arguments.Values(Flags.UserDevice), ParseUserDevice),
            Vdpa: MapAll(arguments.Values(Flags.Vdpa), ParseVdpa),
            Vsock: Map(arguments.Value(Flags.Vsock), ParseVsock),
            Numa: MapAll(arguments.Values(Flags.Numa), ParseNuma),
            Watchdog: arguments.Has(Flags.Watchdog),
            Rtc: Map(arguments.Value(Flags.Rtc), ParseRtc),
            Tpm: Map(arguments.Value(Flags.Tpm), ParseTpm),
            LandlockEnable: arguments.Has(Flags.Landlock),
            LandlockRules: MapAll(arguments.Values(Flags.LandlockRules), ParseLandlockRule));
    }

    private static T? Map<T>(string? value, Func<string, T> parse)
        where T : class => value is null ? null : parse(value);

    private static List<T>? MapAll<T>(IReadOnlyList<string>? values, Func<string, T> parse)
        where T : class => values?.Select(parse).ToList();
}
