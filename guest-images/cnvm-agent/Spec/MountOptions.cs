using Cnvm.Linux;

namespace Cnvm.GuestAgent.Spec;

/// <summary>Mount options of storages and OCI specifications.</summary>
internal static class MountOptions
{
    /// <summary>An option that runc has for itself: what the image has there is copied, which nothing asks for here.</summary>
    private const string CopyUp = "tmpcopyup";

    /// <summary>Sorts options, of which several may stand in one string with commas between them.</summary>
    public static MountWords Parse(IEnumerable<string> options) =>
        MountWords.Sort(options.SelectMany(o => o.Split(',', StringSplitOptions.RemoveEmptyEntries)).Where(o => o != CopyUp));
}
