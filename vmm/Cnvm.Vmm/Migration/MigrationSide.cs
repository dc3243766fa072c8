namespace Cnvm.Vmm.Migration;

/// <summary>Which end of a migration this process is.</summary>
public enum MigrationSide
{
    Source,
    Target,
}
