namespace Cnvm.Vmm.Config;

/// <summary>A configuration was refused; the message names every field that is wrong.</summary>
public sealed class ConfigException : VmmException
{
    public ConfigException(IReadOnlyList<ConfigProblem> problems)
        : base(KindOf(problems), string.Join("; ", problems)) => Problems = problems;

    public ConfigException(string field, string message)
        : this([new ConfigProblem(field, message)])
    {
    }

    /// <summary>All that is wrong, at least one.</summary>
    public IReadOnlyList<ConfigProblem> Problems { get; }

    // A conflict is reported as such only if nothing else is wrong.
    private static VmmErrorKind KindOf(IReadOnlyList<ConfigProblem> problems)
    {
        foreach (ConfigProblem problem in problems)
        {
            if (!problem.IsConflict)
            {
                return VmmErrorKind.Invalid;
            }
        }

        return VmmErrorKind.Conflict;
    }
}
