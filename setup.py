"""Packaging. Every figure comes from settings.ini, so that nothing is said twice."""

import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
README = HERE / "README.md"


def read_settings():
    """Return the settings as a mapping of names to strings."""
    parser = ConfigParser()
    parser.read(HERE / "settings.ini", encoding="utf-8")
    return parser["DEFAULT"]


class BuildWithCourse(build_py):
    """Put the lessons and their solutions into the package as moonshine/course for `moonshine lab`."""

    def run(self):
        super().run()
        if self.editable_mode:  # the lessons are opened where they are
            return
        course = Path(self.build_lib, "moonshine", "course")
        shutil.rmtree(course, ignore_errors=True)  # an earlier build's
        course.mkdir(parents=True)
        for lesson in sorted(HERE.glob("nbs/course/**/[1-9]_*.ipynb")):
            target = course / lesson.relative_to(HERE / "nbs" / "course")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(lesson, target)


settings = read_settings()
site = settings["site_requirements"].split()

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    # README.md is made from a notebook: it is missing until the first export.
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    author=settings["author"],
    license=settings["license"],
    license_files=["LICENSE"],
    keywords=settings["keywords"].split(),
    python_requires=f">={settings['min_python']}",
    install_requires=settings["requirements"].split(),
    extras_require={"dev": [*settings["dev_requirements"].split(), *site], "site": site},
    packages=find_packages(include=["moonshine", "moonshine.*"]),
    # Said outright, so that an editable install is a plain path entry. The import hook that setuptools would
    # install instead loses to the namespace package that Python sees in the clone's own folder, when started
    # beside it.
    package_dir={"": "."},
    package_data={"moonshine": ["facts/*", "facts/*/*", "facts/*/*/*", "**/*.js", "**/*.css"]},
    include_package_data=False,
    cmdclass={"build_py": BuildWithCourse},
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
