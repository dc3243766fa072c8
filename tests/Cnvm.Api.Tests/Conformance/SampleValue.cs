using System.Text.Json.Nodes;

namespace Cnvm.Api.Tests.Conformance;

/// <summary>Values for the contract's fields: right ones that are not the default, and wrong ones.</summary>
internal static class SampleValue
{
    /// <summary>Where a value has to be more than of the right type.</summary>
    private static readonly Dictionary<string, string> Chosen = new()
    {
        ["CpusConfig.boot_vcpus"] = "2",
        ["CpusConfig.max_vcpus"] = "2",
        ["CpusConfig.max_phys_bits"] = "40",
        ["CpuAffinity.vcpu"] = "0",
        ["MemoryConfig.size"] = "8388608",
        ["MemoryConfig.hotplug_method"] = "\"VirtioMem\"",
        ["MemoryConfig.hotplugged_size"] = "134217728",
        ["MemoryConfig.hugepage_size"] = "2097152",
        ["MemoryZoneConfig.size"] = "8388608",
        ["MemoryZoneConfig.hugepage_size"] = "2097152",
        ["MemoryZoneConfig.file"] = "\"/dev/shm\"",
        ["DiskConfig.num_queues"] = "2",
        ["DiskConfig.queue_size"] = "64",
        ["DiskConfig.image_type"] = "\"Raw\"",
        ["FsConfig.queue_size"] = "64",
        ["NetConfig.num_queues"] = "4",
        ["NetConfig.queue_size"] = "64",
        ["NetConfig.ip"] = "\"192.168.249.1\"",
        ["NetConfig.mask"] = "\"255.255.255.0\"",
        ["NetConfig.mac"] = "\"2e:89:a8:e4:bf:0d\"",
        ["NetConfig.host_mac"] = "\"2e:89:a8:e4:bf:0e\"",
        ["NetConfig.tap"] = "\"tap7\"",
        ["NetConfig.mtu"] = "1400",
        ["NetConfig.vhost_mode"] = "\"Server\"",
        ["SerialConfig.mode"] = "\"Off\"",
        ["ConsoleConfig.mode"] = "\"Off\"",
        ["DebugConsoleConfig.iobase"] = "1026",
        ["PlatformConfig.num_pci_segments"] = "2",
        ["PlatformConfig.iommu_address_width"] = "48",
        ["PlatformConfig.iommu_address_width_bits"] = "48",
        ["PlatformConfig.uuid"] = "\"11111111-2222-3333-4444-555555555555\"",
        ["PlatformConfig.system_uuid"] = "\"11111111-2222-3333-4444-555555555555\"",
        ["PciSegmentConfig.pci_segment"] = "0",
        ["DiskConfig.queue_affinity"] = """[{"queue_index":0,"host_cpus":[0]}]""",
        ["VirtQueueAffinity.queue_index"] = "0",
        ["VsockConfig.cid"] = "3",
        ["BalloonConfig.size"] = "4096",
        ["LandlockConfig.access"] = "\"rw\"",
        ["VmSnapshotConfig.destination_url"] = "\"file:///snapshot\"",
        ["VmCoredumpData.destination_url"] = "\"file:///core\"",
        ["RestoreConfig.source_url"] = "\"file:///snapshot\"",
        ["ReceiveMigrationData.receiver_url"] = "\"tcp:127.0.0.1:4000\"",
        ["SendMigrationData.destination_url"] = "\"tcp:127.0.0.1:4000\"",
    };

    /// <summary>A value of the right type; objects have what they must have.</summary>
    public static JsonNode Of(ContractField field) =>
        Chosen.TryGetValue($"{field.Schema}.{field.Name}", out string? text) ? JsonNode.Parse(text)! : OfType(field);

    /// <summary>An object with what it must have, and nothing else.</summary>
    public static JsonObject Minimal(string schema)
    {
        JsonObject made = Object(Contract.FieldsOf(schema).Where(f => (f.IsRequired || IsNeeded(f)) && f is not { Schema: "FsConfig", Name: "socket" }));
        if (schema == "FsConfig")
        {
            // In place of a daemon's socket, for which memory has to be shared.
            made["path"] = "/";
        }

        return made;
    }

    /// <summary>An object with all it can have.</summary>
    public static JsonObject Full(string schema)
    {
        var full = new JsonObject();
        foreach (ContractField field in Contract.FieldsOf(schema))
        {
            full[field.Name] = Contract.IsSchema(field.Type) ? Full(field.Type) : Of(field);
        }

        return full;
    }

    /// <summary>A value of another type than the field's.</summary>
    public static JsonNode WrongFor(ContractField field) => JsonNode.Parse(field.Type[0] switch
    {
        '[' => "{}",
        '(' => "\"Nothing\"",
        _ => field.Type switch { "bool" => "0", "string" => "5", _ when Contract.IsSchema(field.Type) => "3", _ => "\"x\"" },
    })!;

    // What the descriptions leave open and Cloud Hypervisor's own parser asks for, or its validation.
    private static bool IsNeeded(ContractField field) => field is
        { Schema: "DiskConfig" or "DeviceConfig", Name: "path" } or { Schema: "PayloadConfig", Name: "kernel" }
        or { Schema: "VmResizeDisk" or "VmResizeZone" or "VmRemoveDevice" or "VmSnapshotConfig" or "VmCoredumpData" };

    private static JsonNode OfType(ContractField field)
    {
        string type = field.Type;
        switch (type[0])
        {
            case '[':
                string element = type[1..^1];
                return new JsonArray(Contract.IsSchema(element) ? Minimal(element) : OfType(field with { Type = element, Default = null }));
            case '(':
                return type[1..^1].Split('|')[^1];
        }

        return type switch
        {
            "bool" => field.Default != "true",
            "string" => "/" + field.Name,
            _ when Contract.IsSchema(type) => Minimal(type),
            _ => 1,
        };
    }

    private static JsonObject Object(IEnumerable<ContractField> fields)
    {
        var made = new JsonObject();
        foreach (ContractField field in fields)
        {
            made[field.Name] = field is { Schema: "CpusConfig", Name: "boot_vcpus" or "max_vcpus" } ? 1 : Of(field);
        }

        return made;
    }
}
