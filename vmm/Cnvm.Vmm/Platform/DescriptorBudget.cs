using Cnvm.Linux;

namespace Cnvm.Vmm.Platform;

/// <summary>
/// How many host descriptors the guest may bind through shared folders, so that the rest of the VMM always finds one. Folders take half of
/// what is left, so that there is some for one that comes later. Not thread safe.
/// </summary>
internal sealed class DescriptorBudget
{
    private const ulong Reserve = 4096;
    private const ulong Upmost = 512 * 1024;

    private readonly Dictionary<string, int> _shares = [];
    private int _left;

    /// <summary>Raises the process's limit of open files as far as it goes.</summary>
    public DescriptorBudget()
    {
        ulong limit = OpenFileLimit.RaiseTo(Upmost + Reserve);
        Most = _left = (int)Math.Min(limit - Math.Min(limit / 8, Reserve), Upmost);
    }

    /// <summary>What all folders together may bind.</summary>
    public int Most { get; }

    /// <summary>Gives each of some folders its share.</summary>
    public void Divide(IReadOnlyCollection<string> folders)
    {
        int share = _left / 2 / Math.Max(folders.Count, 1);
        foreach (string id in folders)
        {
            _shares[id] = share;
            _left -= share;
        }
    }

    /// <summary>What a folder may bind.</summary>
    public int ShareOf(string folder) => _shares[folder];

    /// <summary>The folder has gone.</summary>
    public void Return(string folder)
    {
        if (_shares.Remove(folder, out int share))
        {
            _left += share;
        }
    }
}
