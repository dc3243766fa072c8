namespace Cnvm.Hypervisor.Soft.Tests.Supervisor;

/// <summary>The mode that a scenario begins in.</summary>
internal enum ScenarioMode
{
    Long,
    LongUser,
    Compatibility,
    CompatibilityUser,

    /// <summary>32-bit code with PAE paging.</summary>
    Pae,
    PaeUser,

    /// <summary>32-bit code with 32-bit paging.</summary>
    Paged,
    PagedUser,

    /// <summary>32-bit code without paging.</summary>
    Protected,
    Real,
}
