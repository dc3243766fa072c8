using System.Text.Json;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Cpus;

/// <summary>What a host can run, as a JSON file that is carried to another host: readable, and exact in its field <c>state</c>.</summary>
public static class HostCapabilitiesFile
{
    private const string FormatName = "cnvm-capabilities";
    private const int MaxBytes = 1 << 20;

    /// <summary>The file's contents.</summary>
    public static byte[] Write(HostCapabilities host)
    {
        ArgumentNullException.ThrowIfNull(host);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("format", FormatName);
            json.WriteNumber("version", StateFormat.Version);
            json.WriteString("hypervisor", host.Hypervisor);
            json.WriteNumber("max_vcpus", host.MaxVcpus);
            json.WriteNumber("physical_address_bits", host.PhysicalAddressBits);
            json.WriteNumber("tsc_khz", host.TscKhz);
            json.WriteBoolean("tsc_scaling", host.TscScaling);
            json.WriteStartArray("features");
            foreach (CpuFeature feature in CpuFeature.All(host.Cpuid))
            {
                json.WriteStringValue(feature.Name);
            }

            json.WriteEndArray();
            json.WriteStartArray("profiles");
            foreach (string name in CpuModelProfiles.Names)
            {
                if (CpuModelProfiles.TryGet(name, out CpuModelProfile profile) && CpuidModel.MissingFor(profile, host.Cpuid).Count == 0)
                {
                    json.WriteStringValue(name);
                }
            }

            json.WriteEndArray();
            json.WriteStartArray("msrs");
            foreach (uint index in host.Msrs)
            {
                json.WriteStartObject();
                json.WriteString("index", $"0x{index:x}");
                json.WriteString("policy", MsrPolicies.Of(index) == MsrPolicy.Preserve ? "preserve" : "offer");
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteBase64String("state", StateWriter.Write(host, Describe));
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    /// <exception cref="StateFormatException">The file is none of these, or damaged.</exception>
    public static HostCapabilities Read(byte[] file)
    {
        ArgumentNullException.ThrowIfNull(file);
        try
        {
            if (file.Length > MaxBytes)
            {
                throw new StateFormatException($"a file of {file.Length} bytes describes no host");
            }

            using JsonDocument json = JsonDocument.Parse(file);
            if (json.RootElement.GetProperty("format").GetString() != FormatName)
            {
                throw new StateFormatException($"the file is no host's description: \"format\" is not \"{FormatName}\"");
            }

            return StateReader.Read<HostCapabilities>(json.RootElement.GetProperty("state").GetBytesFromBase64(), Describe);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new StateFormatException($"the file is no host's description: {e.Message}");
        }
    }

    private static HostCapabilities Describe(StateVisitor v, HostCapabilities? s) => new()
    {
        Hypervisor = v.Text(1, "hypervisor", s?.Hypervisor),
        MaxVcpus = v.U32(2, "max_vcpus", s?.MaxVcpus),
        PhysicalAddressBits = v.U32(3, "physical_address_bits", s?.PhysicalAddressBits),
        TscScaling = v.Bool(4, "tsc_scaling", s?.TscScaling),
        TscKhz = v.U32(5, "tsc_khz", s?.TscKhz),
        Cpuid = VcpuElements.Cpuid(v, 6, s?.Cpuid),
        Msrs = Msrs(v, s?.Msrs),
    };

    /// <summary>A file of a program that did not know of them has none; such a program passes over them.</summary>
    private static MsrSet Msrs(StateVisitor v, MsrSet? set) =>
        v.Optional(7, "msrs", set is null ? null : new IndexList(Array.ConvertAll<uint, ulong>([.. set], static i => i)), IndexList.Describe, ignorable: true) is { } list
            ? new MsrSet(Array.ConvertAll(list.Indices, static i => (uint)i))
            : MsrSet.Unknown;

    private sealed record IndexList(ulong[] Indices)
    {
        public static IndexList Describe(StateVisitor v, IndexList? s)
        {
            var list = new IndexList(v.U64List(1, "indices", s?.Indices));
            v.Require(Array.TrueForAll(list.Indices, i => i <= uint.MaxValue), "an MSR's number has 32 bits");
            return list;
        }
    }
}
