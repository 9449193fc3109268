from .exporting import Export as Export
from .exporting import check_folder as check_folder
from .exporting import write_export as write_export
from .format_names import FormatName as FormatName
from .formats import format_of as format_of
from .subject import Subject as Subject
from .subject import subject_of as subject_of
