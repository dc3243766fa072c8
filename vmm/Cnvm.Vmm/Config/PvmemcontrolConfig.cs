namespace Cnvm.Vmm.Config;

/// <summary>The pvmemcontrol device, which has nothing to configure. Kept so that it can be refused by name.</summary>
public sealed record PvmemcontrolConfig;
