namespace Cnvm.Vmm.Config;

/// <summary>One thing that is wrong with a configuration.</summary>
/// <param name="Field">Path of the field in JSON spelling, for example <c>disks[1].queue_size</c>.</param>
/// <param name="Message">What is wrong and what would be right; reads on after the field and a colon.</param>
/// <param name="IsConflict">The value is fine in itself but already in use.</param>
public readonly record struct ConfigProblem(string Field, string Message, bool IsConflict = false)
{
    public override string ToString() => $"{Field}: {Message}";
}
