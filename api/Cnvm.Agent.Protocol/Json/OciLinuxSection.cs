namespace Cnvm.Agent.Protocol.Json;

/// <summary>The <c>linux</c> member of a configuration.</summary>
internal static class OciLinuxSection
{
    public static OciLinux Read(OciNode node) => new()
    {
        UidMappings = node.Children("uidMappings", Mapping),
        GidMappings = node.Children("gidMappings", Mapping),
        Sysctl = node.Map("sysctl"),
        Resources = node.Child("resources", OciResources.Read),
        CgroupsPath = node.Text("cgroupsPath"),
        Namespaces = node.Children("namespaces", space => new LinuxNamespace { Type = space.Text("type"), Path = space.Text("path") }),
        Devices = node.Children("devices", device => new LinuxDevice
        {
            Path = device.Text("path"),
            Type = device.Text("type"),
            Major = device.Int64("major"),
            Minor = device.Int64("minor"),
            FileMode = device.UInt32("fileMode"),
            Uid = device.UInt32("uid"),
            Gid = device.UInt32("gid"),
        }),
        Seccomp = node.Child("seccomp", Seccomp),
        RootfsPropagation = node.Text("rootfsPropagation"),
        MaskedPaths = node.Texts("maskedPaths"),
        ReadonlyPaths = node.Texts("readonlyPaths"),
        MountLabel = node.Text("mountLabel"),
        IntelRdt = node.Child("intelRdt", rdt => new LinuxIntelRdt { L3CacheSchema = rdt.Text("l3CacheSchema") }),
    };

    private static LinuxIDMapping Mapping(OciNode node) => new()
    {
        HostId = node.UInt32("hostID"),
        ContainerId = node.UInt32("containerID"),
        Size = node.UInt32("size"),
    };

    private static LinuxSeccomp Seccomp(OciNode node) => new()
    {
        DefaultAction = node.Text("defaultAction"),
        Architectures = node.Texts("architectures"),
        Flags = node.Texts("flags"),
        Syscalls = node.Children("syscalls", rule => new LinuxSyscall
        {
            Names = rule.Texts("names"),
            Action = rule.Text("action"),
            Errnoret = rule.OptionalUInt32("errnoRet"),
            Args = rule.Children("args", condition => new LinuxSeccompArg
            {
                Index = condition.UInt64("index"),
                Value = condition.UInt64("value"),
                ValueTwo = condition.UInt64("valueTwo"),
                Op = condition.Text("op"),
            }),
        }),
    };
}
